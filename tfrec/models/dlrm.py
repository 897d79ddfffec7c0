"""DLRM: dot products of all features, numbers joined into one."""

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras

from tfrec.layers import mlp
from tfrec.models.dnn import DNN
from tfrec.models.feature_widths import common_width, number_features


class DLRM(DNN):
    """Ranks by a network over the dot products of each two features.

        z = bottom([numbers])        e_f = row of feature f
        output = w . top([z, x_i . x_j for i < j]) + b,  x = z and all e_f

    All features that a table embeds, and `z`, have one width. Without numbers there is no `z`. The
    products are TensorFlow Recommenders' `DotInteraction`, as a full matrix whose upper half is 0:
    to pick out the lower half costs more than to multiply by zeros.

    Source: Naumov et al., Deep Learning Recommendation Model for Personalization and Recommendation
    Systems, arXiv:1906.00091, 2019.
    """

    class Settings(DNN.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          bottom: units of the layers over numbers, before the last one, which is as wide as the
            other features.
        """

        bottom: tuple[int, ...] = (64,)

    settings: Settings

    def interaction(self) -> tf_keras.layers.Layer:
        """Multiplies the features, and passes the products through `network`."""
        width = common_width(self.spec, type(self).__name__)
        numbers = number_features(self.spec)
        bottom = mlp([*self.settings.bottom, width]) if numbers else None
        return _Dots(numbers, bottom, self.network())


class _Dots(tf_keras.layers.Layer):
    def __init__(
        self, numbers: list[str], bottom: tf_keras.Model | None, top: tf_keras.Model
    ) -> None:
        super().__init__()
        self._numbers, self._bottom, self._top = numbers, bottom, top
        self._dots = tfrs.layers.feature_interaction.DotInteraction(skip_gather=True)

    def call(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        rows = [column for name, column in sorted(embedded.items()) if name not in self._numbers]
        joined = []
        if self._bottom is not None:
            numbers = tf.concat([embedded[name] for name in self._numbers], -1)
            joined = [self._bottom(numbers, training=training)]
        products = self._dots([*joined, *rows])  # [batch, features * features]
        return self._top(tf.concat([*joined, products], -1), training=training)
