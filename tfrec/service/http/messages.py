"""What the addresses take and answer besides slates and the guide."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from tfrec.service.api import Message
from tfrec.service.events import Event


class EventBatch(Message):
    """Events, each of which gets a verdict.

    Attributes:
      events: in the order in which they happened.
    """

    events: Annotated[tuple[Event, ...], Field(min_length=1)]


class EventVerdict(Message):
    """What became of an event.

    Attributes:
      id: of the event; null where it has none that can be read.
      status: `accepted` is on the disk, `duplicate` was there before, `rejected` cannot be right.
      reason: why it is rejected: the field, its value and the fault.
    """

    id: str | None
    status: Literal["accepted", "duplicate", "rejected"]
    reason: str | None = None


class EventVerdicts(Message):
    """What became of the events of a batch.

    Attributes:
      verdicts: one for each, in their order.
    """

    verdicts: tuple[EventVerdict, ...]


class UserReply(Message):
    """What is known of a shopper.

    Attributes:
      user: the id.
      features: raw features, as the models take them.
      hidden: ids of items that the shopper has hidden.
      counts: type of events -> how many there are.
      last: time of the latest event, in seconds since 1970.
      arms: experiment -> the arm that the shopper is in.
    """

    user: str
    features: Mapping[str, Any]
    hidden: tuple[str, ...]
    counts: Mapping[str, int]
    last: int | None
    arms: Mapping[str, Any]


class ErasedReply(Message):
    """A shopper is forgotten: now, and in later training data.

    Attributes:
      user: the id.
      was_known: whether the feature store had anything.
    """

    user: str
    was_known: bool


class ItemReply(Message):
    """An item of the catalogue.

    Attributes:
      id: of the item.
      name: for people.
      features: categories and numbers.
    """

    id: str
    name: str
    features: Mapping[str, str | float | None]


class HealthReply(Message):
    """The process is there.

    Attributes:
      status: `ok`.
    """

    status: Literal["ok"]


class ReadinessReply(Message):
    """Whether the service answers, and of which parts.

    Attributes:
      ready: whether it answers at all.
      parts: part -> `ok`, or why it is not.
    """

    ready: bool
    parts: Mapping[str, str]


class Fault(Message):
    """Why there is no answer.

    Attributes:
      code: for programs.
      message: for people: the field, its value and the remedy.
      field: of the request, where one is wrong.
    """

    code: str
    message: str
    field: str | None = None


class FaultReply(Message):
    """Every answer that is none.

    Attributes:
      error: what is wrong.
    """

    error: Fault
