"""A small shop with a gateway in front of it: nothing is prepared or trained.

Aisles hold items that are alike; `item-00` and `item-01` are bought together, and so on by pairs.
Items whose number ends in 9 are new, `item-08` is out of stock, and `item-05` has nuts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from tfrec.config import validate
from tfrec.data.catalogue import GROUP, ID, NAME, Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.interactions import Interactions
from tfrec.features import FeatureSpec
from tfrec.service.build_gateway import ModelNames, build_gateway
from tfrec.service.config import ServiceConfig
from tfrec.service.feature_store import FeatureStore
from tfrec.service.flow.models import Answer, Models
from tfrec.service.flow.neighbours import bought_together
from tfrec.service.flow.shop import Shop
from tfrec.service.gateway import Gateway
from tfrec.service.intake import Intake
from tfrec.service.live_assortment import LiveAssortment
from tfrec.service.online_features import OnlineFeatures
from tfrec.service.open_store import open_store
from tfrec.service.search.search import Search
from tfrec.serving.signature import Signature, TensorSpec

ITEMS, AISLES = 40, 5
MODEL, COMPANIONS = "toy", "toy_companions"
GAP = 1800
PATIENT = {
    "request": "60s",
    "budgets": dict.fromkeys(("gather", "sources", "rank", "explain"), "60s"),
}
"""Time for each step, however slow the machine is."""
THINGS = ("milk", "bread", "beer", "cheese", "apple")
BRANDS = ("Acme", "Best", "Corner")
IDS = [f"item-{number:02d}" for number in range(ITEMS)]
NAMES = [f"{THINGS[number % AISLES]} no. {number}" for number in range(ITEMS)]
CATEGORY = {"kind": "categorical", "embedding": 2}
FEATURES: dict[str, dict[str, Any]] = {
    "visitor": {"role": "user", **CATEGORY},
    "recent": {"role": "user", "kind": "sequence", "of": "item", "last": 20},
    "events_before": {"role": "user", "kind": "numeric"},
    "item": {"role": "item", **CATEGORY},
    "aisle": {"role": "item", **CATEGORY},
    "brand": {"role": "item", **CATEGORY},
    "tags": {"role": "item", **CATEGORY, "kind": "multi_categorical"},
    "weight": {"role": "item", "kind": "numeric"},
    "weekday": {"role": "context", **CATEGORY},
    "device": {"role": "context", **CATEGORY},
    "hour_sent": {"role": "context", "kind": "numeric"},
}
WEIGHTS = {
    "impression": 0, "view": 0.1, "click": 0.2, "cart": 0.5, "purchase": 1,
    "coupon_redemption": 1, "rating": 0.5, "hide": 0,
}  # fmt: skip
_DATA = {
    "events": {
        "source": "events/", "user": "visitor", "item": "item", "time": "time",
        "type_column": "type", "weights": WEIGHTS,
    },
    "items": {"source": "items.csv", "id": "item"},
    "split": {"kind": "leave_last_out"},
    "session_gap": GAP,
    "clean": {"duplicates": "keep"},
}  # fmt: skip
_COLUMNS = Columns(
    {
        "visitor": "user", "events_before": "behaviour", "item": "item", "aisle": "catalogue",
        "brand": "catalogue", "tags": "catalogue", "weight": "catalogue", "weekday": "calendar",
        "device": "event", "hour_sent": "event",
    }
)  # fmt: skip
_STRING, _STRINGS = TensorSpec("string", (None,)), TensorSpec("string", (None, None))
_FLOAT, _FLOATS = TensorSpec("float32", (None,)), TensorSpec("float32", (None, None))
_QUERY = {
    "visitor": _STRING,
    "recent": _STRINGS,
    "weekday": _STRING,
    "device": _STRING,
    "hour_sent": _FLOAT,
}
_K = {"k": TensorSpec("int32", ()), "exclude": _STRINGS}
_LISTS = {"ids": _STRINGS, "scores": _FLOATS}
SIGNATURES: Mapping[str, Mapping[str, Signature]] = {
    MODEL: {
        "recommend": Signature({**_QUERY, **_K}, _LISTS, ""),
        "rank": Signature(
            {**_QUERY, "items": _STRINGS}, {"click": _FLOATS, "conversion": _FLOATS}, ""
        ),
        "explain": Signature({**_QUERY, "items": _STRINGS}, {"reasons": _STRINGS}, ""),
    },
    COMPANIONS: {
        "recommend": Signature({"item": _STRING, "aisle": _STRING, **_K}, _LISTS, ""),
    },
}


@dataclass
class ToyModels(Models):
    """Answers as hashes of shopper and item say.

    Attributes:
      version: that answers.
      faults: signature -> what it raises.
      asked: model and signature of each call.
    """

    version: str = "1"
    faults: dict[str, Exception] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    known: Mapping[str, Mapping[str, Signature]] = field(default_factory=lambda: SIGNATURES)

    async def signatures(self, model: str) -> Mapping[str, Signature]:
        return self.known[model]

    async def run(
        self,
        model: str,
        signature: str,
        inputs: Mapping[str, np.ndarray],
    ) -> Answer:
        self.asked.append((model, signature))
        if signature in self.faults:
            raise self.faults[signature]
        assert set(inputs) == set(self.known[model][signature].inputs)
        return Answer(_TOYS[signature](inputs), self.version)

    async def close(self) -> None:
        """Has nothing to let go of."""


def toy_score(task: str, visitor: str, item: str) -> float:
    """What the toy model says of a shopper and an item: from 0 to 1."""
    return crc32(f"{task}/{visitor}/{item}".encode()) / 2**32


def _recommend(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    visitor = inputs["visitor" if "visitor" in inputs else "item"][0].decode()
    gone = {one.decode() for one in inputs["exclude"][0]} | {visitor}
    left = [one for one in IDS if one not in gone]
    best = sorted(left, key=lambda one: -toy_score("recommend", visitor, one))[: int(inputs["k"])]
    scores = [toy_score("recommend", visitor, one) for one in best]
    nothing = int(inputs["k"]) - len(best)
    return {
        "ids": np.array([[one.encode() for one in best] + [b""] * nothing], object),
        "scores": np.array([scores + [-np.inf] * nothing], np.float32),
    }


def _rank(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    visitor, items = inputs["visitor"][0].decode(), [one.decode() for one in inputs["items"][0]]
    return {
        task: np.array([[toy_score(task, visitor, one) for one in items]], np.float32)
        for task in ("click", "conversion")
    }


def _explain(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    last = inputs["recent"][0][-1]
    reason = b"because_you_bought:" + last if last else b"popular"
    return {"reasons": np.array([[reason] * inputs["items"].shape[1]], object)}


_TOYS = {"recommend": _recommend, "rank": _rank, "explain": _explain}


def write_catalogue(folder: Path) -> Catalogue:
    """Writes the items."""
    folder.mkdir(parents=True, exist_ok=True)
    table = {
        ID: IDS,
        NAME: NAMES,
        GROUP: [None] * ITEMS,
        "aisle": [f"aisle-{number % AISLES}" for number in range(ITEMS)],
        "brand": [BRANDS[number % len(BRANDS)] for number in range(ITEMS)],
        "tags": [["fresh", "local"] if number % 4 == 0 else [] for number in range(ITEMS)],
        "weight": [None if number % 7 == 6 else float(number) for number in range(ITEMS)],
    }
    file = folder / "catalogue.parquet"
    pa.parquet.write_table(pa.table(table), file)
    return Catalogue(file)


def write_assortment(folder: Path) -> dict[str, Any]:
    """Writes what the shop knows of its items today, and returns the section of the config."""
    table = {
        "item": IDS,
        "price": [1.0 + number / 4 for number in range(ITEMS)],
        "margin": [0.1 * (number % 4) for number in range(ITEMS)],
        "stock": [0 if number == 8 else 5 for number in range(ITEMS)],
        "nuts": [number == 5 for number in range(ITEMS)],
        "alcohol": [number % AISLES == 2 for number in range(ITEMS)],
    }
    file = folder / "assortment.parquet"
    pa.parquet.write_table(pa.table(table), file)
    return {
        "source": str(file), "id": "item", "price": "price", "margin": "margin",
        "stock": "stock", "flags": ["nuts", "alcohol"],
    }  # fmt: skip


def shop_events() -> Interactions:
    """What was bought: items of small numbers more often, and each even one with the next."""
    users, items, times = [], [], []
    for user in range(60):
        for basket in range(4):
            pair = 2 * (((user * 7 + basket * 3) ** 2 % 97) % (1 + (user + basket) % (ITEMS // 2)))
            for item in (pair, pair + 1):
                if item % 10 != 9:
                    users.append(user)
                    items.append(item)
                    times.append(1_600_000_000 + user + basket * 10 * GAP)
    return Interactions(
        np.array(users), np.array(items), np.ones(len(items), np.float32), np.array(times), 60,
        ITEMS,
    )  # fmt: skip


def make_shop(folder: Path, config: ServiceConfig) -> Shop:
    """Makes what the flow knows of the items."""
    catalogue, events = write_catalogue(folder), shop_events()
    sold = np.bincount(events.items, minlength=ITEMS).astype(np.float64)
    random = np.random.default_rng(0)
    vectors = np.eye(AISLES)[np.arange(ITEMS) % AISLES] + random.normal(0, 0.1, (ITEMS, AISLES))
    return Shop(
        catalogue,
        validate(FeatureSpec, FEATURES, "features"),
        "visitor",
        "item",
        sold,
        sold == 0,
        bought_together(events, GAP),
        (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32),
        LiveAssortment(config.assortment, catalogue),
        config.flow.category or "aisle",
    )


def make_online(catalogue: Catalogue) -> OnlineFeatures:
    """What events change of shoppers."""
    data = validate(DataConfig, _DATA, "data")
    spec = validate(FeatureSpec, FEATURES, "features")
    return OnlineFeatures(data, spec, _COLUMNS, catalogue)


def make_gateway(
    folder: Path,
    models: Models | None = None,
    store: FeatureStore | None = None,
    companions: bool = True,
    assortment: bool = True,
    **service: Any,
) -> Gateway:
    """Opens a gateway on the toy shop; whoever opens it awaits its `close`.

    Args:
      folder: where it keeps what it writes; a gateway that is closed can be opened there again.
      models: instead of `ToyModels()`.
      store: instead of the one that the config names, SQLite below `folder`.
      companions: whether there is a model of what goes with an item.
      assortment: whether prices, stock and flags are known.
      **service: the `service` section, e.g. `flow={"value": "click"}`; no step is late by default.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = {"folder": str(folder / "service"), **service}
    content["resilience"] = PATIENT | service.get("resilience", {})
    if assortment:
        content.setdefault("assortment", write_assortment(folder))
    config = validate(ServiceConfig, content, "service")
    shop = make_shop(folder, config)
    online = make_online(shop.catalogue)
    store = store or open_store(config.store_url, online)
    intake = Intake(config.folder / "events", online, store, config.folder / "erased")
    names = ModelNames(MODEL, COMPANIONS if companions else None, tasks=("click", "conversion"))
    search = Search(shop.catalogue, config.search, shop.sold)
    return build_gateway(config, shop, store, intake, models or ToyModels(), names, search)
