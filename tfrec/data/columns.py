"""Where each feature's raw values are: in the event log, in the catalogue, or in the calendar."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.catalogue import ID, Catalogue
from tfrec.data.config import DataConfig
from tfrec.data.events import USER
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, TIME

CALENDAR = {"weekday": "%A", "hour": "%H"}
"""Context features that the time of an event gives: name -> how it is written."""


@dataclass(frozen=True)
class Columns:
    """The columns that features are read from.

    Attributes:
      user_id: name of the feature that is the shopper's id.
      item_id: name of the feature that is the item's id.
      item: names of features that are columns of the catalogue.
      event: names of features that are columns of the event log.
      calendar: names of features that come from the time.
    """

    user_id: str
    item_id: str
    item: tuple[str, ...]
    event: tuple[str, ...]
    calendar: tuple[str, ...]

    def values(
        self, names: Sequence[str], events: pa.Table, catalogue: Catalogue
    ) -> dict[str, pa.Array]:
        """Reads the raw values of categorical features for cleaned events.

        Args:
          names: the features.
          events: columns of cleaned events.
          catalogue: the items.

        Returns:
          Name -> `[events]` strings, null where there is none.
        """
        return {name: self._value(name, events, catalogue) for name in names}

    def _value(self, name: str, events: pa.Table, catalogue: Catalogue) -> pa.Array:
        if name in self.calendar:
            time = events[TIME].cast(pa.timestamp("s"))
            column = pc.strftime(time, format=CALENDAR[name])
        elif name == self.user_id:
            column = events[USER]
        elif name in self.event:
            column = events[name]
        else:
            column = self.item_values(name, catalogue).take(events[ITEM_ROW])
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column

    def item_values(self, name: str, catalogue: Catalogue) -> pa.Array:
        """Reads an item feature's raw values by catalogue row: `[items]` strings."""
        return catalogue.table[ID if name == self.item_id else name].combine_chunks()


def find_columns(
    spec: FeatureSpec,
    config: DataConfig,
    event_columns: Collection[str],
    item_columns: Collection[str],
) -> Columns:
    """Finds the source of every feature.

    Args:
      spec: the features.
      config: the `data` section.
      event_columns: names of the event log's columns.
      item_columns: names of the catalogue's columns.

    Returns:
      The columns to read.

    Raises:
      UserError: if a column that the config names is not there.
    """
    problems = [
        _missing(f"data.{section}.{key}", name, columns)
        for section, columns in (("events", event_columns), ("items", item_columns))
        for key, name in _named_columns(getattr(config, section))
        if name not in columns
    ]
    item, event, calendar = [], [], []
    for name, feature in spec.categories.items():
        if name in (config.events.user, config.events.item):
            continue
        if feature.role == "item":
            item.append(name)
            if name not in item_columns:
                problems.append(_missing(f"features.{name}", name, item_columns))
        elif name in event_columns:
            event.append(name)
        elif name in CALENDAR:
            calendar.append(name)
        else:
            problems.append(_missing(f"features.{name}", name, [*event_columns, *CALENDAR]))
    if problems:
        raise UserError("\n".join(problems))
    return Columns(
        config.events.user, config.events.item, tuple(item), tuple(event), tuple(calendar)
    )


def _named_columns(section: object) -> list[tuple[str, str]]:
    named = []
    for key, value in vars(section).items():
        if key != "source":
            named += [(key, name) for name in ([value] if isinstance(value, str) else value)]
    return named


def _missing(field: str, name: str, columns: Collection[str]) -> str:
    return f"{field}: no column {name!r} in the data; it has {', '.join(columns)}"
