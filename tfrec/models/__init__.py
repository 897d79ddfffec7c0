"""Templates to subclass."""

from tfrec.models.two_tower import ModelInputs, TwoTower

__all__ = ["ModelInputs", "TwoTower"]
