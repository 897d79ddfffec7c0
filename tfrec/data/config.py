"""The `data` section of a config."""

from typing import Annotated, Literal

from pydantic import Field

from tfrec.config import Duration, Section


class Events(Section):
    """Where the shop's event log is and which of its columns mean what.

    Attributes:
      source: `dataset://NAME/TABLE`, or a path or glob of Parquet or CSV files.
      user: column of the shopper's id.
      item: column of the item's id.
      time: column of the moment: a timestamp, or whole seconds since 1970.
    """

    source: str
    user: str
    item: str
    time: str


class Items(Section):
    """Where the catalogue is.

    Attributes:
      source: as for events.
      id: column of the item's id.
      name: columns that, joined by a space, make the name shown to people.
    """

    source: str
    id: str
    name: tuple[str, ...] = ()


class TimeSplit(Section):
    """The end of the log is the test window; the stretch before it is the validation window."""

    kind: Literal["time"]
    validation: Duration
    test: Duration


class DataConfig(Section):
    """The `data` section.

    Attributes:
      events: the event log.
      items: the catalogue.
      split: how rows are divided into train, validation and test.
      runner: the Beam runner, by a name that Beam knows.
      shards: files that prepared rows are spread over; each holds whole shoppers.
      max_reject_share: share of rejected rows above which preparation fails.
      seed: of the order in which training examples are written.
    """

    events: Events
    items: Items
    split: TimeSplit
    runner: str = "apache_beam.runners.portability.fn_api_runner.fn_runner.FnApiRunner"
    shards: Annotated[int, Field(gt=0)] = 8
    max_reject_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    seed: int = 0
