"""The `evaluation` section of a config."""

from typing import Annotated, Literal

from pydantic import Field

from tfrec.config import Section

Cutoff = Annotated[int, Field(gt=0)]


class EvaluationConfig(Section):
    """The `evaluation` section.

    Attributes:
      k: lengths of recommendation lists to measure.
      baselines: rankers to show beside the model.
    """

    k: Annotated[tuple[Cutoff, ...], Field(min_length=1)] = (10, 100)
    baselines: tuple[Literal["popularity", "own_history"], ...] = ("popularity", "own_history")
