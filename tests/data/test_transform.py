from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow_transform as tft

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.events import USER
from tfrec.data.prepared import PreparedData
from tfrec.data.split import Window
from tfrec.data.transform import fit_transform
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, TIME

EVENTS = {
    "first": [("u", 0, 10, "web"), ("u", 1, 11, "web"), ("u", 1, 12, None), ("u", 3, 100, "web")],
    "second": [("v", 1, 99, "app"), ("v", 3, 9, "kiosk"), ("w", 2, 100, "kiosk")],
}
"""File -> events: shopper, item row, time, channel; the window goes from 10 to before 100."""


@pytest.fixture
def transform(
    output: PreparedData,
    write_catalogue: Callable[..., Catalogue],
    small_config: DataConfig,
) -> tft.TFTransformOutput:
    write_catalogue(["a", "b", "c", "d"], aisle=["dairy", None, "bread", "fruit"])
    output.events.mkdir()
    for name, events in EVENTS.items():
        _write_events(output.events / f"{name}.parquet", events)
    category = {"kind": "categorical", "embedding": 2}
    content = {
        "shopper": {**category, "role": "user"},
        "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 2},
        "sku": {**category, "role": "item"},
        "aisle": {**category, "role": "item"},
        "channel": {**category, "role": "context", "min_count": 2},
    }
    columns = Columns("shopper", "sku", ("aisle",), ("channel",), ())
    spec = validate(FeatureSpec, content)
    fit_transform(small_config, spec, columns, Window(10, 100), output)
    return tft.TFTransformOutput(str(output.transform))


def _write_events(path: Path, events: list[tuple[str, int, int, str | None]]) -> None:
    users, rows, times, channels = zip(*events, strict=True)
    table = {
        USER: pa.array(users),
        ITEM_ROW: pa.array(rows, pa.int64()),
        TIME: pa.array(times, pa.int64()),
        "channel": pa.array(channels),
    }
    pa.parquet.write_table(pa.table(table), path)


def test_vocabularies_hold_the_values_of_the_window_that_are_frequent_enough(
    transform: tft.TFTransformOutput,
) -> None:
    def vocabulary(name: str) -> list[bytes]:
        return sorted(transform.vocabulary_by_name(name))

    assert vocabulary("shopper") == [b"u", b"v"]
    assert vocabulary("sku") == [b"a", b"b"]
    assert vocabulary("aisle") == [b"dairy"]
    assert vocabulary("channel") == [b"web"]
