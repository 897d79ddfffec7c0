"""What a shopper did, as the service takes it and as its log keeps it."""

import math
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Annotated, Any, Literal, get_args

import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

EventType = Literal[
    "impression", "view", "click", "cart", "purchase", "coupon_redemption", "rating", "hide"
]
TYPES: tuple[str, ...] = get_args(EventType)

VISITOR = "visitor"
"""Column of the log that says whose an event is: a user's id, or an anonymous session."""

ANONYMOUS = "anonymous:"
"""What a session's name begins with where it stands in the place of a user's id."""

MOST_AHEAD_SECONDS = 60
"""How far the clock of a shopper's device may be ahead of the server's."""

_LONGEST = 256
_MOST_CONTEXT = 64
_LAST_POSITION = 10**9
_MILLISECONDS = 1e11
_MOMENT = TypeAdapter(datetime)
_NOW = "now"
_SHOWN = 80
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = _SHOWN
_REPR.maxlevel, _REPR.maxlist, _REPR.maxdict = 2, 3, 3


Text = Annotated[str, Field(min_length=1, max_length=_LONGEST)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Value = Number | Annotated[str, Field(max_length=_LONGEST)] | tuple[Text, ...] | None


class Event(BaseModel):
    """One thing that a shopper did, or was shown.

    Attributes:
      id: given by the sender; an event that is sent again has the same.
      type: what happened.
      user: the shopper's id, where it is known.
      session: of an anonymous shopper, or of a known one.
      item: id of the item.
      time: seconds since 1970; ISO 8601 is taken too, without a zone as UTC. By default the moment
        when the server gets it.
      request: the slate that showed the item, by its `request_id`.
      scenario: the shelf that it was.
      position: place on that shelf, from 1.
      propensity: chance with which the item was shown there.
      arm: of the experiment that the shopper is in, as `EXPERIMENT=ARM;EXPERIMENT=ARM`.
      team: of two rankings that were dealt into one slate, the one that chose the item.
      quantity: how many were bought.
      price: paid for one.
      rating: given.
      coupon: id of the coupon that was shown or redeemed.
      context: feature of roles user and context -> its value then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    id: Text
    type: EventType
    user: Text | None = None
    session: Text | None = None
    item: Text
    time: Annotated[float, Field(ge=0, validate_default=True)] = None  # type: ignore[assignment]
    request: Text | None = None
    scenario: Text | None = None
    position: Annotated[int, Field(ge=1, le=_LAST_POSITION)] | None = None
    propensity: Annotated[Number, Field(gt=0, le=1)] | None = None
    arm: Text | None = None
    team: Text | None = None
    quantity: Annotated[Number, Field(gt=0)] | None = None
    price: Annotated[Number, Field(ge=0)] | None = None
    rating: Number | None = None
    coupon: Text | None = None
    context: Annotated[Mapping[Text, Value], Field(max_length=_MOST_CONTEXT)] = {}

    @field_validator("time", mode="before")
    @classmethod
    def _in_seconds(cls, value: object, info: ValidationInfo) -> object:
        now: float = (info.context or {}).get(_NOW, math.inf)
        if value is None and math.isfinite(now):
            return now
        seconds = _seconds(value)
        if seconds > now + MOST_AHEAD_SECONDS:
            raise ValueError(f"{seconds - now:,.0f} s in the future; send the time of the event")
        return seconds

    @field_validator("user")
    @classmethod
    def _no_session(cls, user: str | None) -> str | None:
        if user and user.startswith(ANONYMOUS):
            raise ValueError(f"begins like a session; ids of users have no {ANONYMOUS!r}")
        return user

    @field_validator("context")
    @classmethod
    def _has_names_of_its_own(cls, context: Mapping[str, Any]) -> Mapping[str, Any]:
        for name in context:
            if name in _COLUMNS or name.startswith("_"):
                raise ValueError(f"{name!r} is no feature's name; give it another")
        return {name: value for name, value in context.items() if value is not None}

    @model_validator(mode="after")
    def _is_somebodys(self) -> "Event":
        if self.user is None and self.session is None:
            raise ValueError("neither user nor session; give one of them")
        return self

    @property
    def visitor(self) -> str:
        """Whose it is: the user's id, or what stands for an anonymous session."""
        return self.user if self.user is not None else ANONYMOUS + str(self.session)

    @property
    def seconds(self) -> int:
        """Its whole second, which is all that preparation reads."""
        return math.floor(self.time)

    def line(self, features: Iterable[str] = ()) -> bytes:
        """Writes the event as a line of the log: one object, whose context stands among the rest.

        Args:
          features: names that every line has, so that a reader finds the columns in the first ones.
        """
        row = {name: getattr(self, name) for name in _FIELDS}
        row |= {VISITOR: self.visitor, **dict.fromkeys(features), **self.context}
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def of_line(cls, line: bytes) -> "Event":
        """Reads what `line` wrote.

        Raises:
          ValueError: if it is no event.
        """
        row = orjson.loads(line)
        if not isinstance(row, dict):
            raise ValueError("not a JSON object")
        own: dict[str, Any] = {name: row.get(name) for name in _FIELDS}
        context = {
            name: value for name, value in row.items() if name not in _COLUMNS and value is not None
        }
        return cls(**own, context=context)


_FIELDS = tuple(name for name in Event.model_fields if name != "context")
_COLUMNS = {*Event.model_fields, VISITOR}


def check_events(rows: Sequence[object], now: float) -> list[Event | str]:
    """Validates events one by one.

    Args:
      rows: what was sent: one mapping an event.
      now: the server's moment, in seconds since 1970.

    Returns:
      For each row the event, or why it is none: its field, value and fault.
    """
    return [_check(row, now) for row in rows]


def _check(row: object, now: float) -> Event | str:
    try:
        return Event.model_validate(row, context={_NOW: now})
    except ValidationError as error:
        return _explain(error)


def _explain(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    if problem["type"] == "model_type":
        return "not an object; send one with the fields of an event"
    field = ".".join(map(str, problem["loc"][:1]))
    if problem["type"] == "missing":
        return f"{field}: missing"
    if problem["type"] == "extra_forbidden":
        return f"{field}: unknown field; known: {', '.join(Event.model_fields)}"
    if field == "type":
        return f"type: {_shown(problem['input'])}: unknown; known: {', '.join(TYPES)}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{field}: {_shown(problem['input'])}: {message}" if field else message


def _shown(value: object) -> str:
    """A value in few letters, however long or deep it is."""
    text = _REPR.repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str | datetime):
        raise ValueError("no time; give seconds since 1970 or ISO 8601")
    if isinstance(value, int | float):
        if not abs(value) < _MILLISECONDS:
            raise ValueError("not in seconds since 1970")
        return float(value)
    try:
        moment = _MOMENT.validate_python(value)
    except ValidationError:
        raise ValueError("no time; give seconds since 1970 or ISO 8601") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
