"""Templates to subclass."""

from tfrec.models.base import ModelInputs, Template
from tfrec.models.retrieval import RetrievalTemplate
from tfrec.models.two_tower import TwoTower

__all__ = ["ModelInputs", "RetrievalTemplate", "Template", "TwoTower"]
