"""A transformer block in which no place of a list sees a later one."""

import tensorflow as tf
import tf_keras

from tfrec.layers.dropout import Dropout
from tfrec.layers.self_attention import SelfAttention


class CausalBlock(tf_keras.layers.Layer):
    """Self-attention and a feed-forward network, each beside a way around it.

        y = x + dropout(attention(norm(x)))
        z = y + dropout(feed_forward(norm(y))),  feed_forward(y) = relu(y W1 + b1) W2 + b2

    Place i attends to the places up to i. Lists padded behind need no mask: padding comes after all
    that is in a list.

    Sources: Vaswani et al., Attention Is All You Need, NeurIPS 2017; Kang and McAuley,
    Self-Attentive Sequential Recommendation, ICDM 2018 (normalised first, and a feed-forward
    network as wide as the vectors).
    """

    def __init__(self, dim: int, heads: int, dropout: float, name: str | None = None) -> None:
        """Makes the layers.

        Args:
          dim: floats of the vectors, a multiple of `heads`.
          heads: of the attention.
          dropout: share of activations and of attention dropped in training.
          name: of the layer.
        """
        super().__init__(name=name)
        layers = tf_keras.layers
        self._attention = SelfAttention(heads, dim // heads, dropout=dropout)
        self._hidden = layers.Dense(dim, activation="relu")
        self._output = layers.Dense(dim)
        self._norms = [layers.LayerNormalization(epsilon=1e-6) for _ in range(2)]
        self._dropout = Dropout(dropout)

    def call(self, values: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Maps `[batch, length, dim]` to `[batch, length, dim]`."""
        normal = self._norms[0](values)
        seen = self._attention(normal, normal, use_causal_mask=True, training=training)
        values += self._dropout(seen, training=training)
        hidden = self._hidden(self._norms[1](values))
        hidden = self._output(self._dropout(hidden, training=training))
        return values + self._dropout(hidden, training=training)
