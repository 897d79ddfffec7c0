"""DIN: the item that is ranked decides what counts of a shopper's history."""

import tensorflow as tf
import tf_keras

from tfrec.embeddings.features import Pool
from tfrec.layers import Joined, TargetAttention
from tfrec.models.dnn import DNN, Units
from tfrec.models.target_history import target_histories, unpooled


class DIN(DNN):
    """Ranks by a network over all features, the history weighed by the item.

        pooled = sum over the history of a(h, t) h        output = w . network([pooled, ...]) + b

    `t` is the item's embedding of the feature that a history consists of. Histories of features of
    other roles are pooled as their `pooling` says. The network's activation is ReLU, not the
    paper's Dice, whose batch statistics would differ between replicas.

    Source: Zhou et al., Deep Interest Network for Click-Through Rate Prediction, KDD 2018.
    """

    class Settings(DNN.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          attention: units of the hidden layers that weigh a value of the history.
        """

        attention: Units = (32,)

    settings: Settings

    def pools(self) -> dict[str, Pool]:
        """Leaves the histories to `interaction`."""
        return dict.fromkeys(target_histories(self.spec, type(self).__name__), unpooled)

    def attention(self) -> tf_keras.layers.Layer:
        """Makes what pools a history, ragged `[batch, values, dim]`, by a target `[batch, dim]`."""
        return TargetAttention(self.settings.attention)

    def interaction(self) -> tf_keras.layers.Layer:
        """Pools the histories, and passes all features through `network`."""
        histories = target_histories(self.spec, type(self).__name__)
        attentions = {name: self.attention() for name in histories}
        return _Attended(histories, attentions, self.network())


class _Attended(tf_keras.layers.Layer):
    def __init__(
        self,
        histories: dict[str, str],
        attentions: dict[str, tf_keras.layers.Layer],
        network: tf_keras.Model,
    ) -> None:
        super().__init__()
        self._histories, self._attentions = histories, attentions
        self._network, self._joined = network, Joined()

    def call(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        pooled = {
            name: attention(embedded[name], embedded[self._histories[name]])
            for name, attention in self._attentions.items()
        }
        return self._network(self._joined({**embedded, **pooled}), training=training)
