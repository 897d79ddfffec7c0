"""A block of a hierarchical sequential transduction unit."""

import tensorflow as tf
import tf_keras

from tfrec.layers.dropout import Dropout


class HSTUBlock(tf_keras.layers.Layer):
    """Attention whose weights are no softmax but SiLU of each score, and a gate on its output.

        u, v, q, k = split(silu(norm(x) W1))
        a_ij = silu(q_i . k_j + r_(i - j)) / places  for j <= i, else 0
        y = x + (norm(sum_j a_ij v_j) * u) W2 + b2

    `r` is learned for each distance and head; distances beyond the last one take its bias. The
    weights of a place do not add up to 1, so that how much has happened is seen as well as what.
    The unit of the paper also has a bias by the time between two events, which lists do not carry.

    Source: Zhai et al., Actions Speak Louder than Words: Trillion-Parameter Sequential Transducers
    for Generative Recommendations, ICML 2024, section 3.2.
    """

    def __init__(
        self, dim: int, heads: int, places: int, dropout: float, name: str | None = None
    ) -> None:
        """Makes the layers.

        Args:
          dim: floats of the vectors, a multiple of `heads`.
          heads: of the attention.
          places: of the longest list of training.
          dropout: share of gated activations dropped in training.
          name: of the layer.
        """
        super().__init__(name=name)
        layers = tf_keras.layers
        self._heads, self._places = heads, places
        self._norms = [layers.LayerNormalization(epsilon=1e-6) for _ in range(2)]
        self._projection = layers.Dense(4 * dim, activation="silu", use_bias=False)
        self._output = layers.Dense(dim)
        self._dropout = Dropout(dropout)

    def build(self, shape: tf.TensorShape) -> None:
        """Makes the biases of distances."""
        self._bias = self.add_weight(
            "distance_bias",
            [self._places, self._heads],
            initializer=tf_keras.initializers.RandomNormal(stddev=0.02),
        )
        super().build(shape)

    def call(self, values: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Maps `[batch, length, dim]` to `[batch, length, dim]`."""
        projected = tf.split(self._projection(self._norms[0](values)), 4, -1)
        gate, (value, query, key) = projected[0], map(self._by_head, projected[1:])
        scores = tf.matmul(query, key, transpose_b=True)  # [batch, heads, length, length]
        weights = tf.nn.silu(scores + self._distance_bias(scores)) / self._places
        seen = tf.matmul(tf.linalg.band_part(weights, -1, 0), value)
        seen = tf.reshape(tf.transpose(seen, [0, 2, 1, 3]), tf.shape(values))
        gated = self._norms[1](seen) * gate
        return values + self._output(self._dropout(gated, training=training))

    def _by_head(self, projected: tf.Tensor) -> tf.Tensor:
        """`[batch, length, dim]` -> `[batch, heads, length, dim / heads]`."""
        batch, length = tf.unstack(tf.shape(projected)[:2])
        floats = projected.shape[-1] // self._heads
        split = tf.reshape(projected, [batch, length, self._heads, floats])
        return tf.transpose(split, [0, 2, 1, 3])

    def _distance_bias(self, scores: tf.Tensor) -> tf.Tensor:
        places = tf.range(tf.shape(scores)[-1])
        distances = tf.clip_by_value(places[:, tf.newaxis] - places, 0, self._places - 1)
        bias = tf.cast(tf.gather(self._bias, distances), scores.dtype)  # [length, length, heads]
        return tf.transpose(bias, [2, 0, 1])
