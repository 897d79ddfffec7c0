"""A small shop whose events come through the service, and what preparation makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from tfrec.config import validate
from tfrec.data.catalogue import GROUP, ID, NAME, Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.events import PART, TYPE, USER
from tfrec.data.profiles import Profiles
from tfrec.data.queries import profile_table
from tfrec.data.shard import Shard
from tfrec.data.splits import ByTime
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, TIME
from tfrec.service.events import TYPES, Event
from tfrec.service.online_features import OnlineFeatures

GAP = 100
WEIGHTS = {"impression": 0, "view": 0.1, "click": 1, "purchase": 2, "hide": 0}
LOG = {
    "source": "events/", "user": "visitor", "item": "item", "time": "time", "type_column": "type",
    "weights": WEIGHTS,
}  # fmt: skip
CATEGORY = {"kind": "categorical", "embedding": 2}
USER_ROLE, ITEM_ROLE = {"role": "user"}, {"role": "item"}
RECENT = {**USER_ROLE, "kind": "sequence", "of": "item", "last": 4}
FEATURES: dict[str, dict[str, Any]] = {
    "visitor": {**USER_ROLE, **CATEGORY},
    "recent": RECENT,
    "bought": {**RECENT, "types": ["purchase"], "last": 2},
    "in_session": {**RECENT, "within": "session"},
    "recent_aisles": {**RECENT, "of": "aisle"},
    "age": {**USER_ROLE, "kind": "numeric"},
    "interests": {**USER_ROLE, **CATEGORY, "kind": "multi_categorical"},
    "taste": {**USER_ROLE, "kind": "vector", "dim": 2},
    "weekday": {**USER_ROLE, **CATEGORY},
    "days_since_last_visit": {**USER_ROLE, "kind": "numeric"},
    "visits_before": {**USER_ROLE, "kind": "numeric"},
    "events_before": {**USER_ROLE, "kind": "numeric"},
    "item": {**ITEM_ROLE, **CATEGORY},
    "aisle": {**ITEM_ROLE, **CATEGORY},
}
COLUMNS = Columns(
    {
        "visitor": "user", "age": "event", "interests": "event", "taste": "event",
        "weekday": "calendar", "days_since_last_visit": "behaviour",
        "visits_before": "behaviour", "events_before": "behaviour", "item": "item",
        "aisle": "catalogue",
    }
)  # fmt: skip
ITEMS = {f"item-{n}": None if n % 5 == 2 else f"aisle-{n % 3}" for n in range(12)}


@dataclass(frozen=True)
class ServiceShop:
    """A catalogue, a config, and what preparation would make of events."""

    folder: Path
    config: DataConfig
    spec: FeatureSpec
    catalogue: Catalogue

    @property
    def online(self) -> OnlineFeatures:
        return OnlineFeatures(self.config, self.spec, COLUMNS, self.catalogue)

    def shard(self, events: Sequence[Event]) -> Shard:
        """The events as cleaning leaves them, in one file."""
        kept = [event for event in events if event.item in ITEMS and event.type in WEIGHTS]
        kept.sort(key=lambda event: (event.visitor, event.seconds))
        values = [event.context for event in kept]
        table = {
            USER: [event.visitor for event in kept],
            ITEM_ROW: pa.array(self.catalogue.rows([event.item for event in kept]), pa.int64()),
            TIME: pa.array([event.seconds for event in kept], pa.int64()),
            TYPE: pa.array([event.type for event in kept], pa.string()),
            PART: pa.nulls(len(kept), pa.string()),
            "age": pa.array([value.get("age") for value in values], pa.float32()),
            "interests": pa.array(
                [_listed(value.get("interests")) for value in values], pa.list_(pa.string())
            ),
            "taste": pa.nulls(len(kept), pa.list_(pa.float32())),
        }
        file = self.folder / "events.parquet"
        pa.parquet.write_table(pa.table(table), file)
        return Shard(file, COLUMNS, self.catalogue, self.config, ByTime(0, 0))

    def profiles(self, events: Sequence[Event], folder: Path) -> Profiles:
        """What preparation knows of the shoppers of the events."""
        folder.mkdir()
        table = profile_table(self.shard(events), self.spec, COLUMNS, GAP)
        pa.parquet.write_table(table, folder / "profiles.parquet")
        return Profiles(folder)


def _listed(value: Any) -> list[str] | None:
    return None if value is None else list(value)


def make_service_shop(folder: Path, **data: Any) -> ServiceShop:
    folder.mkdir()
    table = {
        ID: list(ITEMS),
        NAME: list(ITEMS),
        GROUP: [None] * len(ITEMS),
        "aisle": [*ITEMS.values()],
    }
    pa.parquet.write_table(pa.table(table), folder / "catalogue.parquet")
    content = {
        "events": LOG, "items": {"source": "items.csv", "id": "item"}, "session_gap": GAP,
        "split": {"kind": "leave_last_out"}, "clean": {"duplicates": "keep"}, **data,
    }  # fmt: skip
    config = validate(DataConfig, content, "data")
    spec = validate(FeatureSpec, FEATURES, "features")
    return ServiceShop(folder, config, spec, Catalogue(folder / "catalogue.parquet"))


def random_events(seed: int, count: int = 300, users: int = 6) -> list[Event]:
    """Events in the order of their times; several of one second, some that preparation rejects."""
    random = np.random.default_rng(seed)
    times = np.sort(random.integers(40_000, size=count) // random.choice([1, 60], size=count))
    return [
        Event(
            id=f"{seed}-{number}",
            type=TYPES[random.integers(len(TYPES))],  # type: ignore[arg-type]
            user=f"user-{random.integers(users)}",
            item=f"item-{random.integers(14)}",  # two are not in the catalogue
            time=float(time) + random.random() / 2,
            context=_context(random),
        )
        for number, time in enumerate(times)
    ]


def _context(random: np.random.Generator) -> dict[str, Any]:
    context: dict[str, Any] = {}
    if random.random() < 0.7:
        context["age"] = float(random.integers(18, 90))
    if random.random() < 0.5:
        context["interests"] = tuple(random.choice(["tea", "wine", "bread"], 2).tolist())
    return context
