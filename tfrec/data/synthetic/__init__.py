"""Synthetic shops of any size, whose laws are known: for tests of scale and of methods."""

from tfrec.data.synthetic.config import SyntheticShop
from tfrec.data.synthetic.files import generate

__all__ = ["SyntheticShop", "generate"]
