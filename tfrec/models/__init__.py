"""Templates to subclass."""

from tfrec.models.base import ModelInputs, Template
from tfrec.models.closed_form import EASE, IALS, ItemKNN, OwnHistory, Popularity
from tfrec.models.ranking import RankingTemplate
from tfrec.models.retrieval import RetrievalTemplate
from tfrec.models.two_tower import TwoTower

__all__ = [
    "EASE",
    "IALS",
    "ItemKNN",
    "ModelInputs",
    "OwnHistory",
    "Popularity",
    "RankingTemplate",
    "RetrievalTemplate",
    "Template",
    "TwoTower",
]
