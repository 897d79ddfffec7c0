"""DeepFM: a factorisation machine beside a network, over the same embeddings."""

import tensorflow as tf
import tf_keras

from tfrec.layers import AddedLogit, FactorizationMachine, Fields, Joined
from tfrec.models.dnn import DNN
from tfrec.models.feature_widths import common_width, number_features


class DeepFM(DNN):
    """Ranks by the sum of a factorisation machine and a network.

        output = sum_f w_f + sum_{f<g} v_f . v_g + w . network([features]) + b

    All features that a table embeds have one width; the first float of a row is `w` and the others
    are `v`. A number x, or a vector, has the `w` and `v` of `W x`.

    Source: Guo et al., DeepFM: A Factorization-Machine based Neural Network for CTR Prediction,
    IJCAI 2017.
    """

    def interaction(self) -> tf_keras.layers.Layer:
        """Puts the factorisation machine's logit before what the network says."""
        width = common_width(self.spec, type(self).__name__, least=2)
        return _FMAndDeep(Fields(width, number_features(self.spec)), self.network())

    def heads(self) -> dict[str, tf_keras.layers.Layer]:
        """Adds the factorisation machine's logit to that of the network."""
        return {task: AddedLogit(name=task) for task in self.tasks}


class _FMAndDeep(tf_keras.layers.Layer):
    def __init__(self, fields: Fields, network: tf_keras.Model) -> None:
        super().__init__()
        self._fields, self._machine = fields, FactorizationMachine()
        self._network, self._joined = network, Joined()

    def call(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        shallow = self._machine(self._fields(embedded))
        deep = self._network(self._joined(embedded), training=training)
        return tf.concat([shallow, tf.cast(deep, tf.float32)], -1)
