"""A shop with features of every kind, promotions and impressions, whose raw rows are at hand.

No two events happen in the same second: the time of an event tells which one it is.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from tfrec.config import validate
from tfrec.data.config import DataConfig
from tfrec.features import FeatureSpec

DAY = 86_400
START = 1_600_000_000
WEIGHTS = {"buy": 3, "view": 1, "shown": 0}

USER, ITEM, CONTEXT = ({"role": role} for role in ("user", "item", "context"))
HASHED = {"kind": "categorical", "embedding": 2, "lookup": "hash", "rows": 1000}
NUMBER = {"kind": "numeric"}
RECENT = {**USER, "kind": "sequence", "of": "product", "last": 3}

Row = dict[str, Any]

FEATURES: dict[str, dict[str, Any]] = {
    "visitor": {**USER, **HASHED},
    "recent": RECENT,
    "recently_shown": {**RECENT, "types": ["shown"]},
    "in_session": {**RECENT, "within": "session"},
    "recent_aisles": {**RECENT, "of": "aisle"},
    "events_before": {**USER, **NUMBER, "transform": "none"},
    "days_since_last_visit": {**USER, **NUMBER, "transform": "none"},
    "product": {**ITEM, **HASHED},
    "aisle": {**ITEM, **HASHED},
    "tags": {**ITEM, **HASHED, "kind": "multi_categorical", "separator": "|"},
    "price": {**ITEM, **NUMBER, "transform": "log", "min": 0},
    "title": {**ITEM, "kind": "text", "embedding": 2, "rows": 50},
    "image": {**ITEM, "kind": "vector", "dim": 2},
    "offer": {**ITEM, **HASHED},
    "poster": {**ITEM, "kind": "vector", "dim": 2},
    "device": {**CONTEXT, "kind": "categorical", "embedding": 2},
    "paid": {**CONTEXT, **NUMBER},
    "weekday": {**CONTEXT, **HASHED},
    "stars": {"role": "label", **NUMBER},
    "importance": {"role": "weight", **NUMBER},
}
"""Of promotions are `offer` and `poster`; only `device` has a vocabulary to be fitted."""


@dataclass(frozen=True)
class BusyShop:
    """The raw rows.

    Attributes:
      events: in the order of shopper and time.
      items: the catalogue; its order is that of the ids.
      promotions: what was promoted when.
    """

    events: Sequence[Row]
    items: Sequence[Row]
    promotions: Sequence[Row]

    def write(
        self, folder: Path, parts: Mapping[int, str] | None = None, **data: Any
    ) -> DataConfig:
        """Writes the tables and makes the `data` section, which `data` adds to.

        Args:
          folder: where the files go.
          parts: time of an event -> part of the data; then there is a file of each.
          data: keys of the section.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in (("items", self.items), ("promotions", self.promotions)):
            _write(folder / f"{name}.parquet", rows)
        for part, rows in itertools.groupby(
            sorted(self.events, key=lambda row: (parts or {}).get(row["at"], "train")),
            key=lambda row: (parts or {}).get(row["at"], "train"),
        ):
            _write(folder / f"{part}.parquet", list(rows))
        content = {
            "events": {
                "source": str(folder / "train.parquet"), "user": "visitor", "item": "product",
                "time": "at", "type_column": "action", "weights": WEIGHTS,
            },
            "items": {"source": str(folder / "items.parquet"), "id": "product"},
            "shards": 2,
            **data,
        }  # fmt: skip
        return validate(DataConfig, content, "data")


def spec_of(*names: str) -> FeatureSpec:
    """The spec of some features; of all by default."""
    return validate(FeatureSpec, {name: FEATURES[name] for name in names or FEATURES})


def make_busy_shop(seed: int = 0, users: int = 20, sessions: int = 8, items: int = 30) -> BusyShop:
    """Makes shoppers who are shown products in sessions, look at some and buy some of these."""
    random = np.random.default_rng(seed)
    events: list[Row] = []
    used: set[int] = set()

    def add(user: int, item: int, at: int, action: str) -> None:
        while at in used:
            at += 1
        used.add(at)
        events.append(
            {
                "visitor": f"visitor-{user:02d}",
                "product": f"product-{item:02d}",
                "at": at,
                "action": action,
                "device": [None, "phone", "desk", "tablet"][random.integers(4)],
                "paid": None if random.random() < 0.2 else float(random.integers(100)),
                "stars": float(random.integers(6)),
                "importance": float(random.integers(1, 4)),
            }
        )

    for user in range(users):
        for _ in range(sessions):
            at = START + int(random.integers(40 * DAY))
            for _ in range(int(random.integers(1, 5))):
                item = int(random.integers(items))
                at += int(random.integers(20, 600))
                add(user, item, at, "shown")
                if random.random() < 0.7:
                    add(user, item, at + 100, "view")
                    if random.random() < 0.5:
                        add(user, item, at + int(random.integers(100, 4000)), "buy")
    events.sort(key=lambda row: (row["visitor"], row["at"]))
    return BusyShop(events, _items(items), _promotions(random, items))


def _items(items: int) -> list[Row]:
    return [
        {
            "product": f"product-{number:02d}",
            "aisle": None if number % 7 == 3 else f"aisle-{number % 5}",
            "tags": ["new|sale", "new", "", None][number % 4],
            "price": None if number % 6 == 5 else number * 1.5,
            "title": None if number % 8 == 7 else f"Thing no. {number % 3}",
            "image": None if number % 9 == 4 else [number / 2, -1.0],
        }
        for number in range(items)
    ]


def _promotions(random: np.random.Generator, items: int) -> list[Row]:
    return [
        {
            "product": f"product-{random.integers(items):02d}",
            "from": (start := START + int(random.integers(35 * DAY))),
            "to": start + int(random.integers(10 * DAY)),
            "offer": f"offer-{number}",
            "poster": [float(number), 1.0],
        }
        for number in range(40)
    ]


def _write(path: Path, rows: Sequence[Row]) -> None:
    pa.parquet.write_table(pa.Table.from_pylist(list(rows)), path)
