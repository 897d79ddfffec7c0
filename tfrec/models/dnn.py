"""A deep network over all features: the plain ranker."""

from typing import Annotated

import tf_keras
from pydantic import Field

from tfrec.layers import Joined, mlp
from tfrec.models.ranking import RankingTemplate

Units = Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1)]
"""Units of hidden layers, of which there is at least one."""


class DNN(RankingTemplate):
    """Ranks by a multilayer perceptron over all features side by side.

        output = w . relu(W_n ... relu(W_1 [all embedded features] + b_1) ... + b_n) + b

    The probability of a click is the logistic of it, learned by cross-entropy; with `label` it is a
    number such as a rating, learned by squared error.

    Source: Covington et al., Deep Neural Networks for YouTube Recommendations, RecSys 2016, sec. 4.
    """

    class Settings(RankingTemplate.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          hidden: units of each hidden layer.
          dropout: share of their activations dropped in training.
        """

        hidden: Units = (128, 64)
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    settings: Settings

    def network(self) -> tf_keras.Model:
        """Makes the hidden layers: `[batch, any]` to `[batch, hidden[-1]]`."""
        return mlp(self.settings.hidden, dropout=self.settings.dropout)

    def interaction(self) -> tf_keras.layers.Layer:
        """Passes all features, side by side, through `network`."""
        return tf_keras.Sequential([Joined(), self.network()])
