"""A shop's log in plain Python, and shards of events made by hand."""

from collections.abc import Callable, Sequence
from datetime import timezone
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet
import pytest
from shop import Shop

from tfrec.config import validate
from tfrec.data.catalogue import ID, NAME, Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.events import USER
from tfrec.data.prepared import PreparedData
from tfrec.data.shard import Shard
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, TIME


class Event(NamedTuple):
    user: str
    time: int
    sku: str
    channel: str


@pytest.fixture(scope="session")
def log(shop: Shop) -> list[Event]:
    """The shop's good events: each shopper's together, in the order of time and then item."""
    rows = pa.parquet.read_table(shop.events).to_pylist()
    return sorted(
        Event(
            row["shopper"],
            int(row["at"].replace(tzinfo=timezone.utc).timestamp()),
            row["sku"],
            row["channel"],
        )
        for row in rows
        if row["shopper"] is not None and row["sku"] != "sku-unknown"
    )


@pytest.fixture
def output(tmp_path: Path) -> PreparedData:
    """An empty directory for prepared data."""
    data = PreparedData(tmp_path / "prepared")
    data.rejects.mkdir(parents=True)
    return data


@pytest.fixture(scope="session")
def small_config() -> DataConfig:
    """The `data` section of sources that each test writes for itself."""
    content = {
        "events": {"source": "events", "user": "shopper", "item": "sku", "time": "at"},
        "items": {"source": "items", "id": "sku", "name": ["title", "size"]},
        "split": {"kind": "time", "validation": "1d", "test": "1d"},
        "shards": 3,
    }
    return validate(DataConfig, content, "data")


@pytest.fixture
def write_catalogue(output: PreparedData) -> Callable[..., Catalogue]:
    """Puts a catalogue in its place as preparation leaves it."""

    def write(ids: Sequence[str], **features: Sequence[str | None]) -> Catalogue:
        columns = {ID: pa.array(ids, pa.string()), NAME: [f"the {item}" for item in ids]}
        for name, values in features.items():
            columns[name] = pa.array(values, pa.string())
        pa.parquet.write_table(pa.table(columns), output.catalogue)
        return Catalogue(output.catalogue)

    return write


@pytest.fixture
def make_shard(tmp_path: Path) -> Callable[..., Shard]:
    """Makes a shard of cleaned events (user, time, item row, channel), in the order given."""

    def make(
        events: Sequence[tuple[str, int, int, str | None]], spec: FeatureSpec, catalogue: Catalogue
    ) -> Shard:
        users, times, rows, channels = zip(*events, strict=True)
        table = pa.table(
            {
                USER: pa.array(users, pa.string()),
                ITEM_ROW: pa.array(rows, pa.int64()),
                TIME: pa.array(times, pa.int64()),
                "channel": pa.array(channels, pa.string()),
            }
        )
        file = tmp_path / "shard.parquet"
        pa.parquet.write_table(table, file)
        columns = Columns("shopper", "sku", ("aisle",), ("channel",), ("weekday",))
        return Shard(file, spec, columns, catalogue)

    return make
