"""One vector for a list of vectors, in which a target decides what counts."""

from collections.abc import Sequence

import tensorflow as tf
import tf_keras

from tfrec.layers.mlp import mlp


class TargetAttention(tf_keras.layers.Layer):
    """Sums of lists of vectors, each weighted by what it has to do with the list's target.

        a_i = network([x_i, t, x_i - t, x_i * t])
        pooled = sum over the list of a_i x_i

    Weights do not add up to 1: how much of a list speaks for the target counts as well.

    Source: Zhou et al., Deep Interest Network for Click-Through Rate Prediction, KDD 2018; the
    difference and the product stand for its outer product, as in the authors' code.
    """

    def __init__(self, hidden: Sequence[int], name: str | None = None) -> None:
        """Makes the network: `hidden` units of its layers before the weight."""
        super().__init__(name=name)
        self._network = mlp(hidden, output_dim=1)

    def call(self, lists: tf.RaggedTensor, targets: tf.Tensor) -> tf.Tensor:
        """Pools lists, without padding them.

        Args:
          lists: ragged `[batch, values, dim]`.
          targets: `[batch, dim]`.

        Returns:
          `[batch, dim]`; zeros for an empty list.
        """
        values, owner = lists.flat_values, lists.value_rowids()  # [n, dim], [n]
        wanted = tf.gather(targets, owner)
        pairs = tf.concat([values, wanted, values - wanted, values * wanted], -1)  # [n, 4 dim]
        weights = self._network(pairs)  # [n, 1]
        return tf.math.unsorted_segment_sum(weights * values, owner, lists.nrows())
