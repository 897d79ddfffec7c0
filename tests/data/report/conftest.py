"""Figures of the small shop, shards made by hand, and a shop whose data are odd in every way."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from every_kind import CONTENT, ROWS

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.counts import Counts
from tfrec.data.events import PART, TYPE, USER
from tfrec.data.prepared import PreparedData
from tfrec.data.report.gathering import Figures, gather
from tfrec.data.shard import Shard
from tfrec.data.splits import Split, make_split
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, TIME
from tfrec.stages.artifact import Artifact

HOSTILE = "<script>alert('$x_1$')</script>"
LOADED = "<img src=http://elsewhere.example/x onerror=alert(1)>"


def counts_of(prepared: PreparedData) -> dict[str, Counts]:
    """What preparation counted, as its manifest says."""
    summary = Artifact(prepared.path).manifest.summary
    return {
        name: Counts(read, summary["rejected"][name], summary["dropped"][name])
        for name, read in summary["read"].items()
    }


def silent(what: str, done: int, total: int) -> None:
    """Does not tell of progress."""


@pytest.fixture(scope="session")
def figures(prepared: PreparedData, data_config: DataConfig, spec: FeatureSpec) -> Figures:
    return gather(prepared, data_config, spec, counts_of(prepared), silent)


@pytest.fixture
def shard_of(tmp_path: Path, small_config: DataConfig) -> Callable[..., Shard]:
    """Makes a shard of events (user, time, item row, type), in the order given."""

    def make(
        events: Sequence[tuple[str, int, int, str]],
        split: Split | None = None,
        config: DataConfig = small_config,
    ) -> Shard:
        users, times, rows, types = zip(*events, strict=True)
        table = {
            USER: pa.array(users, pa.string()),
            TIME: pa.array(times, pa.int64()),
            ITEM_ROW: pa.array(rows, pa.int64()),
            TYPE: pa.array(types, pa.string()),
            PART: pa.nulls(len(users), pa.string()),
        }
        file = tmp_path / "shard.parquet"
        pa.parquet.write_table(pa.table(table), file)
        split = split or make_split(small_config.split, 0, 100 * 86_400, 0)
        return Shard(file, Columns({}), Catalogue(tmp_path / "none"), config, split)

    return make


@pytest.fixture(scope="session")
def odd_figures(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    """A shop with features of every kind, markup for ids, all on one day, shoppers held out.

    Views are no examples, one shopper does nothing else, and two rows are rejected.
    """
    from tfrec.stages.prepare import prepare

    folder = tmp_path_factory.mktemp("odd")
    config = _write_odd_shop(folder, np.random.default_rng(0))
    spec = validate(FeatureSpec, CONTENT, "features")
    artifact = prepare(config, spec, folder / "prepare")
    prepared = PreparedData(artifact.path)
    return gather(prepared, config, spec, counts_of(prepared), silent)


def _write_odd_shop(folder: Path, random: np.random.Generator) -> DataConfig:
    skus = [HOSTILE, LOADED, *(f"sku-{number}" for number in range(10))]
    items = {name: ROWS[name] for name in CONTENT if CONTENT[name]["role"] == "item"}
    items |= {"sku": skus, "price": [10.0] * 12}
    pa.parquet.write_table(pa.table(items), folder / "items.parquet")
    rows = 600
    shoppers = [HOSTILE, *(f"user-{number}" for number in range(30))]
    events = {
        "shopper": [*random.choice(shoppers, rows), "viewer", None, "user-1"],
        "sku": [*random.choice(skus, rows), "sku-1", "sku-1", LOADED + LOADED],
        "at": [*(1_600_000_000 + random.integers(80_000, size=rows)), *[1_600_000_000] * 3],
        "type": [*random.choice(["view", "<b>buy</b>"], rows), "view", "view", "view"],
        "age": [*random.choice([18.0, 40.0, None], rows), 1.0, 1.0, 1.0],
        "bought": [1.0] * (rows + 3),
        "importance": [*random.random(rows), 1.0, 1.0, 1.0],
    }
    pa.parquet.write_table(pa.table(events), folder / "events.parquet")
    log = {"source": str(folder / "events.parquet"), "user": "shopper", "item": "sku", "time": "at"}
    content = {
        "events": {**log, "type_column": "type", "weights": {"view": 0, "<b>buy</b>": 1}},
        "items": {"source": str(folder / "items.parquet"), "id": "sku"},
        "split": {"kind": "users", "validation": 0.2, "test": 0.2, "shown": 0.5},
        "shards": 2,
    }
    return validate(DataConfig, content, "data")
