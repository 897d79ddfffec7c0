"""How an optimiser is written in a config."""

from typing import Annotated, Literal

from pydantic import Field

from tfrec.config import Section

Rate = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0)]


class _Settings(Section):
    """What every optimiser takes.

    Attributes:
      learning_rate: step size.
      clip_norm: longest gradient of a row; longer ones are shortened to it.
      weight_decay: share of a row, times the learning rate, that is lost in each step; rows that
        were not in a batch lose it when they next are.
    """

    learning_rate: Rate = 0.05
    clip_norm: Rate | None = None
    weight_decay: NotNegative = 0.0

    def slot_floats(self, dim: int) -> int:
        """Counts the floats of state that a row of `dim` floats takes."""
        return self._state_floats(dim) + (1 if self.weight_decay else 0)

    def _state_floats(self, dim: int) -> int:
        raise NotImplementedError


class RowwiseAdagradSettings(_Settings):
    """One accumulator per row: the mean of its floats' squared gradients."""

    kind: Literal["rowwise_adagrad"] = "rowwise_adagrad"
    initial_accumulator: Rate = 1e-8

    def _state_floats(self, dim: int) -> int:
        return 1


class AdagradSettings(_Settings):
    """One accumulator per float."""

    kind: Literal["adagrad"]
    initial_accumulator: Rate = 1e-8

    def _state_floats(self, dim: int) -> int:
        return dim


class LazyAdamSettings(_Settings):
    """Adam whose moments move only when their row is in the batch."""

    kind: Literal["lazy_adam"]
    learning_rate: Rate = 0.001
    beta_1: Share = 0.9
    beta_2: Share = 0.999
    epsilon: Rate = 1e-7

    def _state_floats(self, dim: int) -> int:
        return 2 * dim


class FtrlSettings(_Settings):
    """Follow the regularised leader, with sparse weights where `l1` is above 0."""

    kind: Literal["ftrl"]
    initial_accumulator: Rate = 0.1
    l1: NotNegative = 0.0
    l2: NotNegative = 0.0

    def _state_floats(self, dim: int) -> int:
        return 2 * dim


class SgdSettings(_Settings):
    """Plain gradient descent, without any state."""

    kind: Literal["sgd"]

    def _state_floats(self, dim: int) -> int:
        return 0


OptimizerSettings = Annotated[
    RowwiseAdagradSettings | AdagradSettings | LazyAdamSettings | FtrlSettings | SgdSettings,
    Field(discriminator="kind"),
]
