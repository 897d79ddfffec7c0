"""Self-attentive sequential recommendation, and the same without overconfidence."""

from typing import Annotated, Literal

import tensorflow as tf
import tf_keras
from pydantic import Field

from tfrec.layers import CausalBlock, Dropout, RecentPositions
from tfrec.models.sequential import Sequential


class SASRec(Sequential):
    """A transformer over the history that predicts the next item at every place.

        x_j = sqrt(dim) E(h_j) + p_(n - j)
        score(h_1 ... h_n, item) = norm(block(... block(x)))_n . E(item)

    Each place is told from one negative by log loss, as in the paper; `loss` and `negatives` choose
    other objectives. Subclass it and override `encoder` to change the network.

    Source: Kang and McAuley, Self-Attentive Sequential Recommendation, ICDM 2018.
    """

    def encoder(self) -> tf_keras.layers.Layer:
        """Makes the transformer."""
        made = self.settings
        blocks = [
            CausalBlock(self.embedding_dim, made.heads, made.dropout) for _ in range(made.blocks)
        ]
        return _Encoder(blocks, self.places, made.dropout)


class GSASRec(SASRec):
    """SASRec with many negatives, and a loss that makes up for their number.

    A model that saw few of the items that are not bought takes too many for likely; see
    `tfrec.losses.gbce`. The paper draws its 256 negatives for each place anew; here a history's
    places share theirs unless `share_negatives` is off, which costs a multiple of the time.

    Source: Petrov and Macdonald, gSASRec: Reducing Overconfidence in Sequential Recommendation
    Trained with Negative Sampling, RecSys 2023.
    """

    class Settings(SASRec.Settings):
        """The template's own keys of the `model` section, with the paper's values."""

        loss: Literal["bce", "gbce", "sampled_softmax", "softmax"] = "gbce"
        negatives: Annotated[int, Field(gt=0)] = 256
        share_negatives: bool = True


class _Encoder(tf_keras.layers.Layer):
    """Positions, blocks and a last normalisation."""

    def __init__(self, blocks: list[CausalBlock], places: int, dropout: float) -> None:
        super().__init__()
        self._positions = RecentPositions(places)
        self._dropout = Dropout(dropout)
        self._blocks = blocks
        self._norm = tf_keras.layers.LayerNormalization(epsilon=1e-6)

    def call(self, values: tf.Tensor, lengths: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Maps `[batch, longest, dim]` to `[batch, longest, dim]`."""
        values = self._positions(values * values.shape[-1] ** 0.5, lengths)
        values = self._dropout(values, training=training)
        for block in self._blocks:
            values = block(values, training=training)
        return self._norm(values)
