"""Hierarchical sequential transduction units as a retrieval template."""

from typing import Annotated, Literal

import tensorflow as tf
import tf_keras
from pydantic import Field

from tfrec.layers import Dropout, HSTUBlock
from tfrec.models.sequential import Sequential


class HSTU(Sequential):
    """Gated attention without softmax over the history predicts the next item at every place.

        x_j = sqrt(dim) E(h_j)
        score(h_1 ... h_n, item) = norm(block(... block(x)))_n . E(item)

    The blocks know places by the distances between them; see `tfrec.layers.HSTUBlock`. Each place
    is told from 128 negatives by softmax. Vectors are normalised by a last layer norm, where the
    paper's code takes cosines over a temperature. Subclass it and override `encoder` to change the
    network.

    Source: Zhai et al., Actions Speak Louder than Words: Trillion-Parameter Sequential Transducers
    for Generative Recommendations, ICML 2024.
    """

    class Settings(Sequential.Settings):
        """The template's own keys of the `model` section."""

        loss: Literal["bce", "gbce", "sampled_softmax", "softmax"] = "sampled_softmax"
        negatives: Annotated[int, Field(gt=0)] = 128
        share_negatives: bool = True

    def encoder(self) -> tf_keras.layers.Layer:
        """Makes the blocks."""
        made = self.settings
        blocks = [
            HSTUBlock(self.embedding_dim, made.heads, self.places, made.dropout)
            for _ in range(made.blocks)
        ]
        return _Encoder(blocks, made.dropout)


class _Encoder(tf_keras.layers.Layer):
    """Blocks and a last normalisation."""

    def __init__(self, blocks: list[HSTUBlock], dropout: float) -> None:
        super().__init__()
        self._dropout = Dropout(dropout)
        self._blocks = blocks
        self._norm = tf_keras.layers.LayerNormalization(epsilon=1e-6)

    def call(self, values: tf.Tensor, lengths: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Maps `[batch, longest, dim]` to `[batch, longest, dim]`."""
        values = self._dropout(values * values.shape[-1] ** 0.5, training=training)
        for block in self._blocks:
            values = block(values, training=training)
        return self._norm(values)
