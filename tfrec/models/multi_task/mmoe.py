"""MMoE: tasks that mix shared experts, each in its own way."""

from typing import Annotated

import tf_keras
from pydantic import Field

from tfrec.layers import MultiGateExperts
from tfrec.models.multi_task.multi_task import MultiTask


class MMoE(MultiTask):
    """Gives each task its own mixture of experts that all share.

        x_k = sum_e softmax(W_k x)_e expert_e(x),  x = [features]

    Source: Ma et al., Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts, KDD 2018.
    """

    class Settings(MultiTask.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          experts: number of experts, each of the layers `hidden`.
        """

        experts: Annotated[int, Field(gt=0)] = 4

    settings: Settings

    def experts(self) -> tf_keras.layers.Layer:
        """Makes the experts and each task's gate."""
        made = self.settings
        return MultiGateExperts(list(self.tasks), made.experts, made.hidden, made.dropout)
