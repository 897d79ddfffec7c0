"""What multi-task templates have in common."""

import abc
from collections.abc import Mapping
from typing import Annotated, Literal

import tensorflow as tf
import tf_keras
from pydantic import Field, model_validator

from tfrec.embeddings.features import Features
from tfrec.features.parsing import task_label
from tfrec.layers import Joined, mlp
from tfrec.models.base import Template
from tfrec.models.dnn import DNN


class MultiTask(DNN):
    """Predicts several labels of an impression (`data.labels.tasks`).

        x_k = experts([features])_k        prediction of task k = logistic(tower_k(x_k))
        loss = sum_k weight_k cross-entropy(label_k, prediction_k)

    `loss` may put another loss in the place of cross-entropy. A subclass says what the experts are,
    which tasks share in part or whole.
    """

    class Settings(DNN.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          tasks: task of `data.labels.tasks` -> its weight in the loss. The first one orders the
            catalogue.
          tower: units of the hidden layers of each task's own network.
          uniform_negatives: none; what was not shown tells nothing of what follows a click.
        """

        tasks: Annotated[Mapping[str, Annotated[float, Field(gt=0)]], Field(min_length=1)]
        tower: tuple[int, ...] = (32,)
        uniform_negatives: Literal[0] = 0

        @model_validator(mode="after")
        def _tasks_are_the_labels(self) -> "MultiTask.Settings":
            if self.label is not None:
                raise ValueError("label: tasks say what is predicted; leave it out")
            return self

    settings: Settings

    @classmethod
    def columns(cls, settings: Template.Settings) -> dict[str, str]:
        """Says what is predicted: task -> its column."""
        assert isinstance(settings, MultiTask.Settings)
        return {task: task_label(task) for task in settings.tasks}

    @abc.abstractmethod
    def experts(self) -> tf_keras.layers.Layer:
        """Makes the network from all features, `[batch, any]`, to task -> `[batch, any]`."""

    def interaction(self) -> tf_keras.layers.Layer:
        """Passes all features, side by side, through `experts`."""
        return tf_keras.Sequential([Joined(), self.experts()])

    def heads(self) -> dict[str, tf_keras.layers.Layer]:
        """Makes the tower of each task."""
        return {task: self.tower(task) for task in self.tasks}

    def tower(self, task: str) -> tf_keras.layers.Layer:
        """Makes the network of a task from what its experts say to `[batch, 1]`."""
        output = tf_keras.layers.Dense(1, dtype="float32")
        hidden = mlp(self.settings.tower, dropout=self.settings.dropout).layers
        return tf_keras.Sequential([*hidden, output], name=task)

    def outputs_of(
        self, embedded: dict[str, tf.Tensor], training: bool = False
    ) -> dict[str, tf.Tensor]:
        """What the towers say, before the link: task -> `[batch]`."""
        known = self._interaction(embedded, training=training)
        return {
            task: tower(known[task], training=training)[:, 0] for task, tower in self._heads.items()
        }

    def row_losses(self, inputs: Features, training: bool) -> tf.Tensor:
        """The weighted sum over the tasks of their losses."""
        return tf.add_n(
            [
                self.settings.tasks[task] * self.learned_losses(task, output, inputs, training)
                for task, output in self.head_outputs(inputs, training).items()
            ]
        )
