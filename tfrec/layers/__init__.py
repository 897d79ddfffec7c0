"""Building blocks of models, one concept a file."""

from tfrec.layers.attention_pooling import AttentionPooling
from tfrec.layers.mlp import mlp

__all__ = ["AttentionPooling", "mlp"]
