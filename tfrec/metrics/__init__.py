"""Measures of quality, one kind a file."""

from tfrec.metrics.ranking import ndcg, recall, reciprocal_rank

__all__ = ["ndcg", "recall", "reciprocal_rank"]
