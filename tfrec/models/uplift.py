"""What a promotion changes: the outcome with it, without it, and the difference."""

from typing import ClassVar, Literal

import tensorflow as tf
import tf_keras

from tfrec.embeddings.features import Features
from tfrec.errors import UserError
from tfrec.features import FeatureSpec, Numeric
from tfrec.layers import Joined, mlp
from tfrec.models.base import ModelInputs, select
from tfrec.models.dnn import DNN

UPLIFT, TREATED, CONTROL = "uplift", "treated", "control"


class Uplift(DNN):
    """Predicts the outcome for a shopper with and without a treatment, such as an offer.

        z = shared([all features but the treatment])
        treated = link(tower_1(z))        control = link(tower_0(z))
        uplift = treated - control

    An Example is of one arm, and only that arm's tower learns from it. Without `hidden` nothing but
    the embeddings is shared: two models. The difference is an effect of the treatment where
    shoppers were treated at random, or for no other reason than the features tell.

    Sources: Shalit et al., Estimating individual treatment effect: generalization bounds and
    algorithms, ICML 2017 (TARNet); Künzel et al., Metalearners for estimating heterogeneous
    treatment effects using machine learning, PNAS 2019 (the T-learner, two models).
    """

    class Settings(DNN.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          treatment: numeric feature that is 1 for treated Examples and 0 for others; of role label,
            or with transform none.
          uniform_negatives: none; they are of no arm.
          hidden: units of the shared layers; none makes two models.
          tower: units of the hidden layers of each arm.
          loss: the one whose predictions are probabilities, which can be taken from each other.
        """

        treatment: str
        loss: Literal["cross_entropy"] = "cross_entropy"
        uniform_negatives: Literal[0] = 0
        hidden: tuple[int, ...] = (64,)
        tower: tuple[int, ...] = (32,)

    settings: Settings
    can_be_taught: ClassVar[bool] = False

    def __init__(self, inputs: ModelInputs, settings: Settings) -> None:
        """Makes the tables and the networks.

        Raises:
          UserError: if `treatment` is no such feature.
        """
        _check_treatment(inputs.spec, settings.treatment)
        super().__init__(inputs, settings)

    @property
    def measured(self) -> dict[str, str]:
        """Nothing: an Example's label is of one arm, and `rank` is not told which."""
        return {}

    def embed(self, features: Features, training: bool = False) -> dict[str, tf.Tensor]:
        """Embeds all features but the treatment, which is to be thought up."""
        names = [*self.query_features, *self.item_features]
        wanted = [name for name in names if name != self.settings.treatment]
        return self.embedding(select(features, wanted), training=training)

    def interaction(self) -> tf_keras.layers.Layer:
        """Passes the features through the shared layers."""
        return tf_keras.Sequential([Joined(), *([self.network()] if self.settings.hidden else [])])

    def heads(self) -> dict[str, tf_keras.layers.Layer]:
        """Makes the tower of each arm."""
        return {arm: self.tower(arm) for arm in (TREATED, CONTROL)}

    def tower(self, arm: str) -> tf_keras.layers.Layer:
        """Makes the network of an arm from the shared layers to `[batch, 1]`."""
        output = tf_keras.layers.Dense(1, dtype="float32")
        hidden = mlp(self.settings.tower, dropout=self.settings.dropout).layers
        return tf_keras.Sequential([*hidden, output], name=arm)

    def predictions(self, embedded: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Predicts the outcome of both arms; see the base class.

        Returns:
          `uplift`, which orders the catalogue, `treated` and `control`, each `[batch]` float32.
        """
        arms = super().predictions(embedded)
        return {UPLIFT: arms[TREATED] - arms[CONTROL], **arms}

    def example_losses(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """The loss of the arm that an Example is of."""
        outputs = self.head_outputs(inputs, training)
        treated = inputs[self.settings.treatment] > 0.5
        (column,) = self.tasks.values()
        observed = tf.where(treated, outputs[TREATED], outputs[CONTROL])
        return self.task_losses(inputs[column], observed, inputs)


def _check_treatment(spec: FeatureSpec, name: str) -> None:
    feature = spec.root.get(name)
    if not isinstance(feature, Numeric) or feature.role in ("weight", "time"):
        raise UserError(
            f"model.treatment: {name!r} is no numeric feature; "
            "name one that is 0 or 1, of role label or context"
        )
    if feature.transform != "none":
        raise UserError(
            f"model.treatment: {name!r} is changed by transform {feature.transform}; "
            f"set features.{name}.transform: none"
        )
