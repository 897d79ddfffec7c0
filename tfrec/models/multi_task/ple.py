"""PLE: levels of experts, some shared and some a task's own."""

from typing import Annotated

import tf_keras
from pydantic import Field

from tfrec.layers import ProgressiveExtraction
from tfrec.models.multi_task.multi_task import MultiTask


class PLE(MultiTask):
    """Gives each task a mixture of its own experts and of shared ones, level by level.

        x_k = mix_k(own experts of k, shared experts), again on each level

    What one task learns to its own advantage stays in its own experts.

    Source: Tang et al., Progressive Layered Extraction (PLE): A Novel Multi-Task Learning Model for
    Personalized Recommendations, RecSys 2020.
    """

    class Settings(MultiTask.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          levels: of experts.
          experts: number of each task's own, and of the shared ones, on each level; each has the
            layers `hidden`.
        """

        levels: Annotated[int, Field(gt=0)] = 2
        experts: Annotated[int, Field(gt=0)] = 2

    settings: Settings

    def experts(self) -> tf_keras.layers.Layer:
        """Makes the levels."""
        made = self.settings
        return ProgressiveExtraction(
            list(self.tasks), made.levels, made.experts, made.hidden, made.dropout
        )
