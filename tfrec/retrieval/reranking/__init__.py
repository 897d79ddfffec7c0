"""Diversity and rules: a list of candidates in, a shorter list in another order out."""

from tfrec.retrieval.reranking.boost import boost
from tfrec.retrieval.reranking.calibrate import calibrate, category_shares
from tfrec.retrieval.reranking.cap import cap
from tfrec.retrieval.reranking.config import Rules
from tfrec.retrieval.reranking.mmr import mmr
from tfrec.retrieval.reranking.pin import pin
from tfrec.retrieval.reranking.reranker import Reranker

__all__ = ["Reranker", "Rules", "boost", "calibrate", "cap", "category_shares", "mmr", "pin"]
