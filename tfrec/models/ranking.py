"""What templates have in common that predict what becomes of an item that is shown."""

import abc
from typing import Annotated, ClassVar, Literal, Protocol

import tensorflow as tf
import tf_keras
from pydantic import Field, model_validator

from tfrec.data.prepared import ExampleKind
from tfrec.embeddings.features import Features
from tfrec.errors import UserError
from tfrec.features.parsing import LABEL, taught
from tfrec.losses import distillation
from tfrec.models.base import ModelInputs, Template, select
from tfrec.models.label_losses import LISTWISE, LabelLoss, label_losses
from tfrec.models.uniform_negatives import with_negatives

TAKEN = "taken"
"""The task of a ranker that learns from labelled Examples: whether the item is taken."""


class Taught(Protocol):
    """How much is learned of a teacher; see `training.config.Teacher`."""

    @property
    def weight(self) -> float:
        """The teacher's share of the loss."""

    @property
    def temperature(self) -> float:
        """Divides logits before they are compared."""


class RankingTemplate(Template):
    """Predicts numbers for a shopper, a moment and an item from all their features at once.

        prediction of a task = link(head of the task(interaction(features)))

    By default it has one task, and learns from labelled Examples (`data.labels`) whether an item is
    taken: the link is the logistic function and the loss cross-entropy, or what `loss` names; after
    `focal`, `list_net`, `list_mle` and `lambda_rank` predictions are in order and no probabilities.
    With `label`, a feature of
    that role such as a rating, it learns that number from the events by squared error. A subclass
    says what the interaction is.

    Attributes:
      tasks: task -> the column that it predicts.
      link: what makes a prediction of a head's output.
      teacher: how much is learned of a teacher, where training Examples hold its predictions.
      can_be_taught: whether it learns from a teacher.
    """

    can_be_taught: ClassVar[bool] = True
    teacher: Taught | None = None

    class Settings(Template.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          label: feature of role label to predict; by default, whether the item is taken.
          loss: of whether it is taken. Those but `cross_entropy` and `focal` compare the items of a
            list, and read `data.labels` with `lists: true`; a batch is so many lists.
          uniform_negatives: items of the catalogue that are drawn anew for each event of a batch,
            as what was not taken; the model then learns from events, and reads no labels.
        """

        label: str | None = None
        loss: LabelLoss = "cross_entropy"
        uniform_negatives: Annotated[int, Field(ge=0)] = 0

        @model_validator(mode="after")
        def _loss_is_of_what_is_taken(self) -> "RankingTemplate.Settings":
            if self.label is not None and self.loss != "cross_entropy":
                raise ValueError(
                    f"loss {self.loss} is not for a label, here {self.label}, which is learned by "
                    "squared error; leave out one of them"
                )
            if self.label is not None and self.uniform_negatives:
                raise ValueError(
                    f"uniform_negatives: have no {self.label}, which is what label asks for; leave "
                    "out one of them"
                )
            return self

    settings: Settings

    def __init__(self, inputs: ModelInputs, settings: Settings) -> None:
        """Makes the tables and the networks.

        Raises:
          UserError: if `label` is no label.
        """
        super().__init__(inputs, settings)
        label, labels = settings.label, inputs.spec.of_role("label")
        if label is not None and label not in labels:
            raise UserError(
                f"model.label: {label!r} is no feature of role label; "
                f"those are {', '.join(labels) or 'none'}"
            )
        self.tasks = self.columns(settings)
        self.link: Literal["logistic", "identity"] = "identity" if label else "logistic"
        self._interaction = self.interaction()
        self._heads = self.heads()

    @classmethod
    def columns(cls, settings: Template.Settings) -> dict[str, str]:
        """Says what is predicted: task -> its column."""
        label = getattr(settings, "label", None)
        return {label: label} if label else {TAKEN: LABEL}

    @classmethod
    def labels(cls, settings: Template.Settings) -> tuple[str, ...]:
        """The columns of its tasks, unless it learns from events."""
        assert isinstance(settings, RankingTemplate.Settings)
        if settings.label or settings.uniform_negatives:
            return ()
        return tuple(cls.columns(settings).values())

    @classmethod
    def reads(cls, settings: Template.Settings) -> ExampleKind:
        """Labelled Examples or events; lists where the loss compares items."""
        assert isinstance(settings, RankingTemplate.Settings)
        if settings.loss in LISTWISE and not settings.uniform_negatives:
            return "lists"
        return super().reads(settings)

    @classmethod
    def uniform_items(cls, settings: Template.Settings, batch_size: int) -> int:
        """As many as the settings say, for each event."""
        assert isinstance(settings, RankingTemplate.Settings)
        return settings.uniform_negatives * batch_size

    @property
    def measured(self) -> dict[str, str]:
        """What evaluation compares with labels: output of `rank` -> the column of its label."""
        return {} if self.settings.uniform_negatives else self.tasks

    @abc.abstractmethod
    def interaction(self) -> tf_keras.layers.Layer:
        """Makes the network from embedded features, a dictionary, to `[batch, any]`."""

    def heads(self) -> dict[str, tf_keras.layers.Layer]:
        """Makes the network of each task from what `interaction` returns to `[batch, 1]`."""
        return {task: tf_keras.layers.Dense(1, dtype="float32", name=task) for task in self.tasks}

    def rank(self, features: Features) -> dict[str, tf.Tensor]:
        """Predicts the labels of examples from their transformed features.

        Args:
          features: of roles user, context and item, all of `[batch]`.

        Returns:
          Task -> `[batch]` float32: probabilities, or numbers like those of the label.
        """
        return self.predictions(self.embed(features))

    def predictions(self, embedded: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Does what `rank` does, from what `embed` returns."""
        outputs = self.outputs_of(embedded)
        if self.link == "identity":
            return outputs
        return {task: tf.sigmoid(output) for task, output in outputs.items()}

    def use(self, features: Features) -> object:
        """Predicts."""
        return self.head_outputs(features)

    def embed(self, features: Features, training: bool = False) -> dict[str, tf.Tensor]:
        """Makes what `interaction` takes of transformed features."""
        wanted = select(features, [*self.query_features, *self.item_features])
        return self.embedding(wanted, training=training)

    def head_outputs(self, features: Features, training: bool = False) -> dict[str, tf.Tensor]:
        """What the heads say, before the link: task -> `[batch]`."""
        return self.outputs_of(self.embed(features, training), training)

    def outputs_of(
        self, embedded: dict[str, tf.Tensor], training: bool = False
    ) -> dict[str, tf.Tensor]:
        """Does what `head_outputs` does, from what `embed` returns."""
        shared = self._interaction(embedded, training=training)
        return {task: head(shared)[:, 0] for task, head in self._heads.items()}

    def example_losses(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """The sum over the tasks of their losses; see the base class.

        That of an event and of the items drawn for it is the event's.
        """
        each = self.settings.uniform_negatives
        if each:
            rows = with_negatives(inputs, self.query_features, self.item_features)
            return tf.reduce_sum(tf.reshape(self.row_losses(rows, training), [-1, 1 + each]), 1)
        return self.row_losses(inputs, training)

    def row_losses(self, inputs: Features, training: bool) -> tf.Tensor:
        """The loss of each row of features and labels, `[batch]`."""
        return tf.add_n(
            [
                self.learned_losses(task, output, inputs, training)
                for task, output in self.head_outputs(inputs, training).items()
            ]
        )

    def learned_losses(
        self, task: str, outputs: tf.Tensor, inputs: Features, training: bool
    ) -> tf.Tensor:
        """The loss of one task for each example, `[batch]`, from its labels and its teacher."""
        own = self.task_losses(inputs[self.tasks[task]], outputs, inputs)
        teacher = self.teacher
        if teacher is None or not training:
            return own
        answers = inputs[taught(task)]
        against = (
            tf.math.squared_difference(answers, outputs)
            if self.link == "identity"
            else distillation(outputs, answers, teacher.temperature)
        )
        return (1 - teacher.weight) * own + teacher.weight * against

    def task_losses(self, labels: tf.Tensor, outputs: tf.Tensor, inputs: Features) -> tf.Tensor:
        """The loss of one task for each example, `[batch]`, from what its head says."""
        labels = tf.cast(labels, tf.float32)
        if self.link == "identity":
            return tf.math.squared_difference(labels, outputs)
        return label_losses(self.settings.loss, labels, outputs, inputs)
