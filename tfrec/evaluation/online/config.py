"""What to measure in event logs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tfrec.config import Duration, Section
from tfrec.data.config import Unit
from tfrec.evaluation.online.reading import Selection


class EventSource(Selection):
    """An event log, and which of its columns mean what.

    Attributes:
      user: column of the shopper's id.
      item: column of the item's id.
      time: column of the moment: timestamps, text or numbers.
      unit: of times that are numbers, counted from 1970.
      format: of times that are text and not ISO 8601, as `strptime` takes it.
      type: of all its events, when no column says it.
      type_column: column of the event's type.
      session: column of the session's id; without it a silence ends a session.
      revenue: column of an order's money.
      quantity: column that multiplies it.
      dwell: column of the seconds that a clicked page was open; without it a page is open until
        the session's next event.
      arm: column of the arm of a test that the shopper is in.
      experiment: the test that is meant, where the column has arms of several as
        `EXPERIMENT=ARM;EXPERIMENT=ARM`, as the service writes it.
    """

    user: str
    item: str
    time: str
    unit: Unit = "s"
    format: str | None = None
    type: str = "event"
    type_column: str | None = None
    session: str | None = None
    revenue: str | None = None
    quantity: str | None = None
    dwell: str | None = None
    arm: str | None = None
    experiment: str | None = None

    @model_validator(mode="after")
    def _has_arms_of_experiment(self) -> "EventSource":
        if self.experiment and not self.arm:
            raise ValueError("experiment without arm; say in arm which column has the arms")
        return self


class EventTypes(Section):
    """What the log calls the events that are measured; others only show that a session goes on."""

    impression: tuple[str, ...] = ("impression",)
    click: tuple[str, ...] = ("click",)
    order: tuple[str, ...] = ("order", "purchase")
    hide: tuple[str, ...] = ("hide",)


class Arms(Section):
    """A randomised test of several arms on shoppers.

    Attributes:
      control: the arm that others are compared with.
      split: arm -> share of shoppers that it was to get, in any unit.
      start: when it began (UTC); earlier events are not of the test, and make its intervals
        narrower (see `tfrec.evaluation.online.cuped`).
    """

    control: str
    split: Annotated[Mapping[str, Annotated[float, Field(gt=0)]], Field(min_length=2)]
    start: datetime | None = None

    @model_validator(mode="after")
    def _control_is_an_arm(self) -> "Arms":
        if self.control not in self.split:
            raise ValueError(
                f"control {self.control!r} is no arm of split: {', '.join(self.split)}"
            )
        return self


class OnlineConfig(Section):
    """What to measure in event logs, and how.

    Attributes:
      events: the log, or several.
      types: what its events are called.
      metrics: names of `tfrec.evaluation.online.measures.MEASURES`; by default all that the log
        can give.
      click_within: how soon a click follows the impression that it is credited to.
      order_within: how soon an order follows the click that it is credited to.
      return_within: how soon a shopper must be back.
      session_gap: a longer silence ends a session.
      long_click: how long a page must be open.
      late: what becomes of an impression, click or session too young for all that may follow to
        have happened: `exclude` counts none of them, `weight` counts them and gives what has
        followed the weight of what will (see `tfrec.evaluation.online.delays`).
      as_of: when the log ends (UTC); later events are left out. By default its last event's time.
      arms: the test that ran, for `tfrec measure ab`.
      max_reject_share: the largest share of rows that may be wrong.
    """

    events: EventSource | tuple[EventSource, ...]
    types: EventTypes = EventTypes()
    metrics: tuple[str, ...] = ()
    click_within: Duration = 1_800
    order_within: Duration = 7 * 86_400
    return_within: Duration = 7 * 86_400
    session_gap: Duration = 1_800
    long_click: Duration = 30
    late: Literal["exclude", "weight"] = "exclude"
    as_of: datetime | None = None
    arms: Arms | None = None
    max_reject_share: Annotated[float, Field(ge=0, lt=1)] = 0.01

    @property
    def logs(self) -> tuple[EventSource, ...]:
        """The logs, also if there is one."""
        return (self.events,) if isinstance(self.events, EventSource) else self.events
