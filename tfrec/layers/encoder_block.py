"""A transformer block in which every place of a list sees all the others."""

import tensorflow as tf
import tf_keras

from tfrec.layers.dropout import Dropout


class EncoderBlock(tf_keras.layers.Layer):
    """Self-attention and a feed-forward network, each added to what it was given and normalised.

        y = norm(x + dropout(attention(x)))
        z = norm(y + dropout(leaky_relu(y W1 + b1) W2 + b2))

    Sources: Vaswani et al., Attention Is All You Need, NeurIPS 2017; Chen et al., Behavior Sequence
    Transformer for E-commerce Recommendation in Alibaba, DLP-KDD 2019 (the leaky ReLU).
    """

    def __init__(self, dim: int, heads: int, dropout: float, name: str | None = None) -> None:
        """Makes the layers.

        Args:
          dim: floats of the vectors, a multiple of `heads`.
          heads: of the attention.
          dropout: share of activations dropped in training.
          name: of the layer.
        """
        super().__init__(name=name)
        layers = tf_keras.layers
        self._attention = layers.MultiHeadAttention(heads, dim // heads)
        self._hidden = layers.Dense(dim, activation=tf.nn.leaky_relu)
        self._output = layers.Dense(dim)
        self._norms = [layers.LayerNormalization(epsilon=1e-6) for _ in range(2)]
        self._dropout = Dropout(dropout)

    def call(self, values: tf.Tensor, there: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encodes padded lists.

        Args:
          values: `[batch, length, dim]`.
          there: `[batch, length]` bool, false for padding.
          training: whether to drop activations.

        Returns:
          `[batch, length, dim]`; what stands in the padding means nothing.
        """
        seen = self._attention(
            values, values, attention_mask=there[:, tf.newaxis], training=training
        )
        values = self._norms[0](values + self._dropout(seen, training=training))
        hidden = self._output(self._hidden(values))
        return self._norms[1](values + self._dropout(hidden, training=training))
