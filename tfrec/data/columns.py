"""Where each feature's raw values are: in the log, the catalogue, the promotions or the time."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tfrec.data.config import DataConfig, NegativeLabels
from tfrec.errors import UserError
from tfrec.features import Categorical, Feature, FeatureSpec, Numeric

CALENDAR = {"weekday": "%A", "hour": "%H"}
"""Categories that the time of an event gives (UTC): name -> how it is written."""

BEHAVIOUR = ("days_since_last_visit", "visits_before", "events_before")
"""Numbers that a shopper's earlier events give: recency in days, and frequencies."""

_MADE = (*CALENDAR, *BEHAVIOUR)

Place = Literal["user", "item", "event", "catalogue", "promotion", "calendar", "behaviour"]


@dataclass(frozen=True)
class Columns:
    """The places that features are read from.

    Attributes:
      places: feature -> place, for all features but sequences. `user` and `item` are the ids.
    """

    places: Mapping[str, Place]

    def at(self, *places: Place) -> list[str]:
        """Names of the features that are read from one of `places`."""
        return [name for name, place in self.places.items() if place in places]


def find_columns(
    spec: FeatureSpec,
    config: DataConfig,
    logs: Sequence[Collection[str]],
    catalogue: Collection[str],
    promotions: Collection[str] = (),
) -> Columns:
    """Finds the place of every feature.

    Args:
      spec: the features.
      config: the `data` section.
      logs: names of the columns of each event log.
      catalogue: names of the catalogue's columns.
      promotions: names of the promotions' columns.

    Returns:
      The places.

    Raises:
      UserError: one line for each column that the config names and the data lack.
    """
    problems = _missing_in_config(config, logs, catalogue, promotions)
    present = {
        "event": _features(config.events, logs),
        "catalogue": _features([config.items], [catalogue]),
        "promotion": _features([config.promotions], [promotions]),
    }
    places: dict[str, Place] = {}
    for name, feature in spec.columns.items():
        if place := _place(name, feature, config, present):
            places[name] = place
        else:
            known = [*catalogue, *promotions] if feature.role == "item" else [*logs[0], *_MADE]
            problems.append(_missing(f"features.{name}", name, known))
    if isinstance(config.labels, NegativeLabels) and "promotion" in places.values():
        problems.append(
            "data.labels: an item that was not bought has no promotion to go with its label 0; "
            "use kind impressions, or leave the features of promotions out"
        )
    if problems:
        raise UserError("\n".join(problems))
    return Columns(places)


def _place(
    name: str, feature: Feature, config: DataConfig, present: Mapping[str, set[str]]
) -> Place | None:
    if name == config.user:
        return "user"
    if name == config.item:
        return "item"
    places: tuple[Place, ...] = ("catalogue", "promotion") if feature.role == "item" else ("event",)
    for place in places:
        if name in present[place]:
            return place
    if name in CALENDAR and isinstance(feature, Categorical):
        return "calendar"
    is_number = isinstance(feature, Numeric) and feature.role == "user"
    return "behaviour" if name in BEHAVIOUR and is_number else None


def _features(sections: Sequence[Any], columns: Sequence[Collection[str]]) -> set[str]:
    """Names that features may have: those of columns, and those that the config gives them."""
    return {
        name
        for section, names in zip(sections, columns, strict=True)
        for name in (*names, *(section.columns if section else ()))
    }


def _missing_in_config(
    config: DataConfig,
    logs: Sequence[Collection[str]],
    catalogue: Collection[str],
    promotions: Collection[str],
) -> list[str]:
    """A line for each column that a section of the config names and the data lack."""
    problems = []
    for number, (log, names) in enumerate(zip(config.events, logs, strict=True)):
        field = "data.events" if len(logs) == 1 else f"data.events.{number}"
        problems += _missing_columns(field, log, names)
    problems += _missing_columns("data.items", config.items, catalogue)
    if config.promotions:
        problems += _missing_columns("data.promotions", config.promotions, promotions)
        for column in config.promotions.match:
            if not all(column in names for names in logs):
                problems.append(_missing("data.promotions.match", column, logs[0]))
    if config.pairs and config.pairs.substitutes and config.pairs.substitutes not in catalogue:
        problems.append(_missing("data.pairs.substitutes", config.pairs.substitutes, catalogue))
    return problems


def _missing_columns(field: str, section: object, present: Collection[str]) -> list[str]:
    """A line for each column that a section names and its files lack."""
    problems = []
    for key in ("user", "item", "id", "time", "type_column", "updated", "start", "end"):
        column = getattr(section, key, None)
        if column and column not in present:
            problems.append(_missing(f"{field}.{key}", column, present))
    for key in ("name", "match"):
        for column in getattr(section, key, ()):
            if column not in present:
                problems.append(_missing(f"{field}.{key}", column, present))
    for feature, column in getattr(section, "columns", {}).items():
        if column not in present:
            problems.append(_missing(f"{field}.columns.{feature}", column, present))
    return problems


def _missing(field: str, name: str, columns: Collection[str]) -> str:
    return f"{field}: no column {name!r} in the data; it has {', '.join(columns)}"
