"""A small shop, made anew from a seed, that every room's tests can prepare."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import yaml

USERS, ITEMS, EVENTS, DAYS = 40, 120, 6000, 60
START = 1_600_000_000


@dataclass(frozen=True)
class Shop:
    """Files of a shop's raw data, and the config of an experiment on them."""

    folder: Path

    @property
    def events(self) -> Path:
        return self.folder / "events.parquet"

    @property
    def items(self) -> Path:
        return self.folder / "items.parquet"

    def config(self, **changes: Any) -> dict[str, Any]:
        """The experiment's config; `changes` replaces keys of sections, e.g. training={...}."""
        content: dict[str, Any] = {
            "name": "shop",
            "runs": str(self.folder / "runs"),
            "data": {
                "events": {
                    "source": str(self.events),
                    "user": "shopper",
                    "item": "sku",
                    "time": "at",
                },
                "items": {"source": str(self.items), "id": "sku", "name": ["title", "size"]},
                "split": {"kind": "time", "validation": "7d", "test": "7d"},
                "shards": 2,
            },
            "features": {
                "shopper": {"role": "user", "kind": "categorical", "embedding": 8},
                "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 5},
                "sku": {"role": "item", "kind": "categorical", "embedding": 8},
                "aisle": {"role": "item", "kind": "categorical", "embedding": 4},
                "channel": {"role": "context", "kind": "categorical", "embedding": 2},
                "weekday": {"role": "context", "kind": "categorical", "embedding": 2},
            },
            "model": {"template": "tfrec.models.TwoTower", "embedding_dim": 8},
            "training": {"strategy": "single", "batch_size": 256, "epochs": 2},
            "evaluation": {"k": [5, 20]},
            "serving": {"name": "shop", "root": str(self.folder / "serving"), "k": 5},
        }
        for section, values in changes.items():
            content[section] = {**content[section], **values}
        return copy.deepcopy(content)

    def write_config(self, **changes: Any) -> Path:
        """Writes the config beside the data."""
        path = self.folder / "experiment.yaml"
        path.write_text(yaml.safe_dump(self.config(**changes)))
        return path


def make_shop(folder: Path, seed: int = 0) -> Shop:
    """Writes a shop whose shoppers each like one aisle.

    Items sell by Zipf's law. The last two items never sell, one item has neither title nor size,
    and some events lack a shopper or name an item outside the catalogue.
    """
    random = np.random.default_rng(seed)
    shop = Shop(folder)
    skus = np.array([f"sku-{number:03d}" for number in range(ITEMS)])
    aisle = np.arange(ITEMS) % 6
    titles: list[str | None] = [f"thing {number}" for number in range(ITEMS)]
    titles[7] = None
    items = {
        "sku": skus,
        "title": titles,
        "size": [None if number % 3 == 1 else f"{number} g" for number in range(ITEMS)],
        "aisle": [f"aisle-{number}" for number in aisle],
    }
    pa.parquet.write_table(pa.table(items), shop.items)
    users = random.integers(USERS, size=EVENTS)
    popularity = 1 / np.arange(1, ITEMS - 1)
    likes = np.stack([np.where(aisle[:-2] == user % 6, 8, 1) * popularity for user in range(USERS)])
    chosen = np.array([random.choice(ITEMS - 2, p=likes[u] / likes[u].sum()) for u in users])
    times = START + np.sort(random.integers(DAYS * 24, size=EVENTS)) * 3600
    shoppers: list[str | None] = [f"user-{user}" for user in users]
    shoppers[10] = shoppers[11] = None
    bought = skus[chosen].astype(object)
    bought[20:23] = "sku-unknown"
    events = {
        "shopper": shoppers,
        "sku": bought,
        "at": pa.array(times * 1_000_000, pa.timestamp("us")),
        "channel": random.choice(["web", "app"], EVENTS),
    }
    pa.parquet.write_table(pa.table(events), shop.events, row_group_size=1000)
    return shop
