"""Building blocks of models, one concept a file."""

from tfrec.layers.mlp import mlp

__all__ = ["mlp"]
