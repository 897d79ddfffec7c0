"""The `data` section of a config."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from tfrec.config import Duration, Section
from tfrec.data.engine import BeamConfig

Source = str | tuple[str, ...]
"""`dataset://NAME/TABLE`, a path, a directory or a glob of files, or several of these."""

Unit = Literal["s", "ms", "us", "ns"]
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(gt=0)]


class Log(Section):
    """One event log, and which of its columns mean what.

    Attributes:
      source: where its files are.
      user: column of the shopper's id.
      item: column of the item's id.
      time: column of the moment: timestamps, text or numbers.
      unit: of times that are numbers, counted from 1970.
      format: of times that are text and not ISO 8601, as `strptime` takes it.
      type: of all its events, when no column says it.
      type_column: column of the event's type.
      weights: event type -> how much an event counts in training. Events of another type are
        rejected; those of weight 0 are no examples, but labels and sequences can use them. Without
        weights every type counts 1.
      columns: feature -> its column, where the names differ.
    """

    source: Source
    user: str
    item: str
    time: str
    unit: Unit = "s"
    format: str | None = None
    type: str = "event"
    type_column: str | None = None
    weights: Mapping[str, Annotated[float, Field(ge=0)]] = {}
    columns: Mapping[str, str] = {}


class Items(Section):
    """Where the catalogue is.

    Attributes:
      source: where its files are.
      id: column of the item's id.
      name: columns that, joined by a space, make the name shown to people.
      updated: column of the moment a row was written; an item's newest row wins. Without it a
        repeated id is rejected.
      unit: of `updated`, as in a log.
      format: of `updated`, as in a log.
      columns: feature -> its column, where the names differ.
    """

    source: Source
    id: str
    name: tuple[str, ...] = ()
    updated: str | None = None
    unit: Unit = "s"
    format: str | None = None
    columns: Mapping[str, str] = {}


class Promotions(Section):
    """Where promotions are, which are joined to events by item and time.

    Features of role item that are columns of this table are read from it. An event without a
    promotion has none of them; of several promotions that apply the one that began last counts,
    then the last row.

    Attributes:
      source: where its files are.
      item: column of the item's id.
      start: column of the first moment, as in a log.
      end: column of the first moment after it.
      match: columns that must be equal in the log, e.g. a week's number or a store.
      unit: of `start` and `end`.
      format: of `start` and `end`.
      columns: feature -> its column, where the names differ.
    """

    source: Source
    item: str
    start: str | None = None
    end: str | None = None
    match: tuple[str, ...] = ()
    unit: Unit = "s"
    format: str | None = None
    columns: Mapping[str, str] = {}

    @model_validator(mode="after")
    def _joined_by_time(self) -> "Promotions":
        if bool(self.start) != bool(self.end):
            raise ValueError("start and end go together; name both columns")
        if not self.start and not self.match:
            raise ValueError("give start and end, or match, or every promotion lasts for ever")
        return self


class Robots(Section):
    """Who is no shopper: more than `events` within a stretch of `within`."""

    events: Count
    within: Duration


class Cleaning(Section):
    """Which good rows are left out all the same; they are counted, and not in `rejects/`.

    Attributes:
      duplicates: `drop` leaves out events equal in all columns that are read.
      after: events before this moment are left out (UTC).
      before: events from this moment on are left out (UTC).
      robots: shoppers with more events than a person can make are left out whole.
      min_user_events: shoppers with fewer events are left out.
      min_item_events: events of items with fewer are left out.
      k_core: repeat both minimums until all shoppers and items that are left fulfil them.
      erased: file of tombstones, which has to be there with its key; events of these shoppers up
        to their erasure are left out.
    """

    duplicates: Literal["drop", "keep"] = "drop"
    after: datetime | None = None
    before: datetime | None = None
    robots: Robots | None = None
    min_user_events: Count = 1
    min_item_events: Count = 1
    k_core: bool = False
    erased: Path | None = None


class TimeSplit(Section):
    """The end of the log is the test window; the stretch before it is the validation window."""

    kind: Literal["time"]
    validation: Duration
    test: Duration


class LastOutSplit(Section):
    """A shopper's last event is for test, the one before for validation."""

    kind: Literal["leave_last_out"]


class RandomSplit(Section):
    """A random share of each shopper's events, whatever their time; validation may have none."""

    kind: Literal["random"]
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.1
    test: Share = 0.1


class UserSplit(Section):
    """Shoppers held out whole: what they did first is shown to the model, the rest is asked for.

    Attributes:
      validation: share of shoppers.
      test: share of shoppers.
      shown: share of each one's events, the earliest, that a query may see.
    """

    kind: Literal["users"]
    validation: Share = 0.1
    test: Share = 0.1
    shown: Share = 0.8


class FileSplit(Section):
    """Parts made elsewhere: the events' source is the training part.

    Attributes:
      validation: source of the validation events; none by default.
      test: source of the test events.
    """

    kind: Literal["files"]
    validation: Source | None = None
    test: Source


Split = Annotated[
    TimeSplit | LastOutSplit | RandomSplit | UserSplit | FileSplit, Field(discriminator="kind")
]


class Pairs(Section):
    """Items that complement each other, counted on training events.

    Attributes:
      within: items go together in one `basket` (events of a shopper at one time) or `session`.
      types: only events of these types; by default those that count as examples.
      viewed: event types of views; pairs viewed together much more than bought are substitutes.
      substitutes: column of the catalogue; items with the same value do not complement each other.
      score: what orders the complements of an item; see `Rules`.
      ordered: whether a complement must come later in the group.
      min_count: groups that must hold a pair.
      top: complements kept for each item.
      max_group: items taken of a larger group, at random.
      examples: Examples to learn from for each item of a group, which pair it with so many others
        of the group, at random; with 0, neither Examples nor queries by items are written.
    """

    within: Literal["basket", "session"] = "basket"
    types: tuple[str, ...] = ()
    viewed: tuple[str, ...] = ()
    substitutes: str | None = None
    score: Literal["credible_lift", "confidence", "lift"] = "credible_lift"
    ordered: bool = False
    min_count: Count = 5
    top: Count = 100
    max_group: Annotated[int, Field(ge=2)] = 100
    examples: Annotated[int, Field(ge=0)] = 4


class ImpressionLabels(Section):
    """A row per impression, labelled by what followed it.

    Attributes:
      impression: event type of what was shown.
      positive: event types that make the label 1.
      within: how soon after the impression.
      tasks: task -> event types that make its own label 1, for templates that learn several.
      lists: whether to write the rows a second time, in lists of a shopper's impressions of one
        session, for losses that compare them.
    """

    kind: Literal["impressions"]
    impression: str = "impression"
    positive: tuple[str, ...] = ("click",)
    within: Duration = 1800
    tasks: Mapping[Annotated[str, Field(pattern=r"^\w+$")], tuple[str, ...]] = {}
    lists: bool = False


class NegativeLabels(Section):
    """A row per training event, labelled 1, and some per item never touched, labelled 0.

    Attributes:
      per_positive: rows labelled 0 for each labelled 1.
      popularity: exponent of an item's training events in the chance of being drawn; 0 draws
        uniformly.
      lists: whether to write the rows a second time, in lists of an event and its negatives, for
        losses that compare them.
    """

    kind: Literal["negatives"]
    per_positive: Count = 4
    popularity: Annotated[float, Field(ge=0, le=1)] = 0.75
    lists: bool = False


Labels = Annotated[ImpressionLabels | NegativeLabels, Field(discriminator="kind")]


def _as_several(value: object) -> object:
    return [value] if isinstance(value, Mapping) else value


class DataConfig(Section):
    """The `data` section.

    Attributes:
      events: the event log, or a list of several; the first one's user and item columns name the
        features that are the ids.
      items: the catalogue.
      promotions: what was promoted when.
      clean: which good rows are left out.
      split: how events are divided into train, validation and test.
      targets: event types that evaluation looks for; by default all that count as examples.
      session_gap: silence after which a shopper's next event begins a new session.
      pairs: whether and how to find complementary items.
      preprocessing: a function of the shop's own, `package.module.name` or `path/to/file.py:name`,
        that is given a feature's name and a tensor of its raw values, and returns as many values of
        the same type; it becomes a part of the transform, and so of what is served.
      labels: whether and how to write labelled examples for rankers.
      sequences: whether to write examples for models that learn whole histories at once: each
        shopper's last event, and so many events before it as the longest history holds, the next.
      beam: the engine, and Beam's own options.
      shards: files that prepared rows are spread over, each of whole shoppers; by default one per
        8 MB of source, and at least 8.
      max_reject_share: share of rejected rows above which preparation fails.
      seed: of all that is random.
    """

    events: Annotated[tuple[Log, ...], BeforeValidator(_as_several), Field(min_length=1)]
    items: Items
    promotions: Promotions | None = None
    clean: Cleaning = Cleaning()
    split: Split
    targets: tuple[str, ...] = ()
    session_gap: Duration = 1800
    pairs: Pairs | None = None
    preprocessing: str | None = None
    labels: Labels | None = None
    sequences: bool = False
    beam: BeamConfig = BeamConfig()
    shards: Count | None = None
    max_reject_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    seed: int = 0

    @model_validator(mode="after")
    def _a_type_has_one_weight(self) -> "DataConfig":
        weights: dict[str, float] = {}
        for log in self.events:
            for name, weight in log.weights.items():
                if weights.setdefault(name, weight) != weight:
                    raise ValueError(
                        f"events: type {name!r} has the weights {weights[name]:g} and {weight:g}; "
                        "give it one, or give the types different names"
                    )
        return self

    @property
    def user(self) -> str:
        """Name of the feature that is the shopper's id."""
        return self.events[0].user

    @property
    def item(self) -> str:
        """Name of the feature that is the item's id."""
        return self.events[0].item
