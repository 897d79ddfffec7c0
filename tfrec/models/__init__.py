"""Templates to subclass."""

from tfrec.models.base import ModelInputs, Template
from tfrec.models.ranking import RankingTemplate
from tfrec.models.retrieval import RetrievalTemplate
from tfrec.models.two_tower import TwoTower

__all__ = ["ModelInputs", "RankingTemplate", "RetrievalTemplate", "Template", "TwoTower"]
