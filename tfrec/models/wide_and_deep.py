"""Wide & Deep: a linear model that remembers beside a network that generalises."""

from typing import Annotated

import tensorflow as tf
import tf_keras
from pydantic import Field

from tfrec.embeddings.features import Features
from tfrec.embeddings.hashing import multiply_shift
from tfrec.embeddings.optimizers.config import FtrlSettings
from tfrec.errors import UserError
from tfrec.layers import AddedLogit, Joined
from tfrec.models.base import ModelInputs, OwnTable, Template
from tfrec.models.dnn import DNN
from tfrec.models.feature_widths import number_features

CROSSES = "crosses"
"""The group of tables that holds the weights of crosses."""

_LOGIT = "_crosses"


class WideAndDeep(DNN):
    """Ranks by the sum of a linear model and a network.

        output = sum_f w_f + sum over crosses of c[hash(a, b)] + w . network([features]) + b

    `w_f` is the first float of a feature's row; a number x, or a vector, has `w . x`. The network
    takes whole rows. A cross gives each pair of two features' values a weight, in a table of
    `cross_rows` that pairs share by their hash; as in the paper FTRL moves it.

    Source: Cheng et al., Wide & Deep Learning for Recommender Systems, DLRS 2016.
    """

    class Settings(DNN.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          crosses: pairs of categorical features.
          cross_rows: weights of all crosses together.
        """

        crosses: tuple[tuple[str, str], ...] = ()
        cross_rows: Annotated[int, Field(gt=0)] = 100_000

    settings: Settings

    def __init__(self, inputs: ModelInputs, settings: Settings) -> None:
        """Makes the tables and the networks.

        Raises:
          UserError: if a cross is not of categorical features that a model takes.
        """
        categories = [name for name in inputs.spec.inputs if name in inputs.spec.categories]
        for name in (name for pair in settings.crosses for name in pair):
            if name not in categories:
                raise UserError(
                    f"model.crosses: {name!r} is no categorical feature; "
                    f"name two of {', '.join(categories)}"
                )
        super().__init__(inputs, settings)

    @classmethod
    def own_tables(cls, settings: Template.Settings) -> dict[str, OwnTable]:
        """The weights of crosses. A warm start, which may number values anew, begins them anew."""
        assert isinstance(settings, WideAndDeep.Settings)
        if not settings.crosses:
            return {}
        # A pair is in few Examples of a batch, whose mean makes its gradient small: an accumulator
        # of the usual size would drown it.
        optimizer = FtrlSettings(kind="ftrl", initial_accumulator=1e-8)
        return {CROSSES: OwnTable(settings.cross_rows, 1, optimizer, len(settings.crosses))}

    def embed(self, features: Features, training: bool = False) -> dict[str, tf.Tensor]:
        """Adds the weights of crosses to the embedded features."""
        embedded = super().embed(features, training)
        if self.settings.crosses:
            embedded[_LOGIT] = self._crossed(features)
        return embedded

    def interaction(self) -> tf_keras.layers.Layer:
        """Puts the wide part's logit before what the network says."""
        return _WideAndDeep(number_features(self.spec), self.network())

    def heads(self) -> dict[str, tf_keras.layers.Layer]:
        """Adds the wide part's logit to that of the deep one."""
        return {task: AddedLogit(name=task) for task in self.tasks}

    def _crossed(self, features: Features) -> tf.Tensor:
        """The sum of the crosses' weights, `[batch, 1]`."""
        places = [
            _hash(features[one], features[other], number, self.settings.cross_rows)
            for number, (one, other) in enumerate(self.settings.crosses)
        ]
        distinct, position = tf.unique(tf.concat(places, 0))
        weights = tf.gather(self.embedding.group_tables[CROSSES](distinct), position)
        return tf.add_n(tf.split(weights, len(places)))


class _WideAndDeep(tf_keras.layers.Layer):
    def __init__(self, numbers: list[str], network: tf_keras.Model) -> None:
        super().__init__()
        self._linear = {name: tf_keras.layers.Dense(1, use_bias=False) for name in numbers}
        self._network, self._joined = network, Joined()

    def call(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        wide = [
            self._linear[name](column) if name in self._linear else column[:, :1]
            for name, column in embedded.items()
        ]
        deep = {name: column for name, column in embedded.items() if name != _LOGIT}
        deeper = self._network(self._joined(deep), training=training)
        return tf.concat([tf.add_n(wide), deeper], -1)


def _hash(one: tf.Tensor, other: tf.Tensor, number: int, size: int) -> tf.Tensor:
    """Hashes pairs of rows, `[batch]` int64 each; every cross has hashes of its own."""
    pair = multiply_shift(one, 1, 2**31) * 2**31 + multiply_shift(other + number, 2, 2**31)
    return multiply_shift(pair + number, 0, size)
