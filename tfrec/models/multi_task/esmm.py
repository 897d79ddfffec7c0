"""ESMM: clicks, and conversions after them, learned from all impressions."""

from collections.abc import Mapping
from typing import Annotated, Literal

import tensorflow as tf
import tf_keras
from pydantic import Field, model_validator

from tfrec.embeddings.features import Features
from tfrec.features.parsing import task_label
from tfrec.models.multi_task.multi_task import MultiTask


class ESMM(MultiTask):
    """Predicts the click, and click and conversion, of an impression.

        pCTR = logistic(a)        pCVR = logistic(b)        pCTCVR = pCTR pCVR
        loss = weight_click CE(click, pCTR) + weight_conversion CE(click and conversion, pCTCVR)

    Each of `a` and `b` has a network of its own over shared embeddings. Conversion after a click is
    so learned from all impressions, not from the clicked ones alone, which are no fair sample.
    The prediction of `conversion` is pCTCVR.

    Source: Ma et al., Entire Space Multi-Task Model: An Effective Approach for Estimating
    Post-Click Conversion Rate, SIGIR 2018.
    """

    class Settings(MultiTask.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          tasks: as for `MultiTask`: these two and no more.
          click: the task that comes first.
          conversion: the task that follows it.
          loss: the one whose predictions are probabilities, which can be multiplied.
        """

        tasks: Mapping[str, Annotated[float, Field(gt=0)]] = {"click": 1.0, "conversion": 1.0}
        click: str = "click"
        conversion: str = "conversion"
        loss: Literal["cross_entropy"] = "cross_entropy"

        @model_validator(mode="after")
        def _tasks_are_two(self) -> "ESMM.Settings":
            if self.click == self.conversion or {*self.tasks} != {self.click, self.conversion}:
                raise ValueError(
                    f"tasks: {', '.join(self.tasks)} are not click {self.click!r} and "
                    f"conversion {self.conversion!r}; name the two in click and conversion"
                )
            return self

    settings: Settings

    def experts(self) -> tf_keras.layers.Layer:
        """Makes a network for each task."""
        return _Apart({task: self.network() for task in self.tasks})

    def outputs_of(
        self, embedded: dict[str, tf.Tensor], training: bool = False
    ) -> dict[str, tf.Tensor]:
        """What becomes pCTR and pCTCVR by the logistic function: task -> `[batch]`."""
        outputs = super().outputs_of(embedded, training)
        both = joint_logit(outputs[self.settings.click], outputs[self.settings.conversion])
        return {**outputs, self.settings.conversion: both}

    def example_losses(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """Takes a conversion for one if there was a click before; see the base class."""
        click, conversion = task_label(self.settings.click), task_label(self.settings.conversion)
        joint = inputs[click] * inputs[conversion]
        return super().example_losses({**inputs, conversion: joint}, training)


def joint_logit(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """The logit of the product of two probabilities, from their logits.

    1 / (logistic(a) logistic(b)) - 1 = e^-a + e^-b + e^-(a+b)
    """
    return -tf.reduce_logsumexp(tf.stack([-one, -other, -one - other]), 0)


class _Apart(tf_keras.layers.Layer):
    def __init__(self, networks: dict[str, tf_keras.Model]) -> None:
        super().__init__()
        self._networks = networks

    def call(self, inputs: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        return {
            task: network(inputs, training=training) for task, network in self._networks.items()
        }
