"""What another policy would have earned: the log, and what that policy does."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from tfrec.config import Duration, Section
from tfrec.data.config import Unit
from tfrec.evaluation.online.reading import Selection


class Credited(Section):
    """A reward of 1 for a choice that an event followed, as a click follows an impression.

    The event is of the same shopper and item, and credited to the last choice before it.

    Attributes:
      where: column -> value of the log's rows that are these events.
      user: column of the shopper's id.
      time: column of the moment: timestamps, ISO 8601 or numbers.
      unit: of times that are numbers, counted from 1970.
      within: how soon it follows; choices so young at the log's end are left out.
    """

    where: Annotated[Mapping[str, str], Field(min_length=1)]
    user: str
    time: str
    unit: Unit = "s"
    within: Duration = 1_800


class RoundsSource(Selection):
    """A log of a policy's choices.

    Attributes:
      action: column of what was chosen, e.g. the item shown.
      reward: column of what came of it, e.g. 1 for a click; or which of the log's other rows are
        clicks.
      propensity: column of the probability with which the policy chose it.
      context: columns that the choice depends on, e.g. the place on the page.
    """

    action: str
    reward: str | Credited
    propensity: str
    context: tuple[str, ...] = ()


class LogTarget(Selection):
    """A policy known by its own log: in each context it chooses as often as it did there.

    The log has the columns `action` and `context` of the other one.

    Attributes:
      reward: column of what came of its choices, to show beside the estimates.
    """

    kind: Literal["log"]
    reward: str | None = None


class TableTarget(Selection):
    """A policy known by a table: a row for each context and action, in the log's columns.

    Attributes:
      probability: column of the probability of the action in the context.
    """

    kind: Literal["table"]
    probability: str


class ColumnsTarget(Section):
    """A policy known by columns of the log, which may depend on anything.

    Attributes:
      probability: column of its probability of the logged action.
      predicted: column of a reward model's prediction for the logged action.
      expected: column of the prediction's mean over the policy's actions; both or there is no
        doubly robust estimate.
    """

    kind: Literal["columns"]
    probability: str
    predicted: str | None = None
    expected: str | None = None


class OffPolicyConfig(Section):
    """An estimate of another policy's worth.

    Attributes:
      log: what was chosen, with which probability, and what came of it.
      target: the other policy.
      clip: the largest weight; by default none is cut. It trades variance for a bias.
      interval: `normal`, or `bootstrap`, which suits rare rewards better.
      resamples: number of the bootstrap's draws.
      seed: of these draws, and of the reward model's folds.
      max_reject_share: the largest share of rows that may be wrong.
    """

    log: RoundsSource
    target: Annotated[LogTarget | TableTarget | ColumnsTarget, Field(discriminator="kind")]
    clip: Annotated[float, Field(gt=0)] | None = None
    interval: Literal["normal", "bootstrap"] = "bootstrap"
    resamples: Annotated[int, Field(ge=100)] = 1_000
    seed: Annotated[int, Field(ge=0)] = 0
    max_reject_share: Annotated[float, Field(ge=0, lt=1)] = 0.01
