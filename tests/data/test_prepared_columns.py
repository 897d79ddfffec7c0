from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from busy_shop import FEATURES, make_busy_shop, spec_of

from tfrec.data.catalogue import GROUP, ID, NAME
from tfrec.data.columns import find_columns
from tfrec.data.config import DataConfig
from tfrec.data.events import PART, TYPE, USER
from tfrec.data.prepared import PreparedData
from tfrec.data.prepared_columns import prepared_columns
from tfrec.errors import UserError
from tfrec.features.parsing import ITEM_ROW, TIME

OF_EVENTS = ["device", "paid", "stars", "importance"]
OF_PROMOTIONS = ["offer", "poster"]
OF_ITEMS = ["aisle", "tags", "price", "title", "image"]


@pytest.fixture
def config(tmp_path: Path) -> DataConfig:
    split = {"kind": "leave_last_out"}
    promotions = {
        "source": "promotions.parquet", "item": "product", "start": "from", "end": "to"
    }  # fmt: skip
    return make_busy_shop(sessions=1).write(tmp_path / "raw", split=split, promotions=promotions)


@pytest.fixture
def write_prepared(tmp_path: Path) -> Callable[..., PreparedData]:
    """Writes tables of such columns as preparation leaves."""

    def run(events: list[str], items: list[str]) -> PreparedData:
        data = PreparedData(tmp_path)
        data.events.mkdir()
        own = [USER, ITEM_ROW, TIME, TYPE, PART]
        empty = {name: [""] for name in (*own, *events)}
        file = data.events / "events-00001-of-00002.parquet"
        pa.parquet.write_table(pa.table(empty), file)
        empty = {name: [""] for name in (ID, NAME, GROUP, *items)}
        pa.parquet.write_table(pa.table(empty), data.catalogue)
        return data

    return run


def test_places_are_those_that_preparation_found_in_the_sources(
    config: DataConfig, write_prepared: Callable[..., PreparedData]
) -> None:
    log = ["visitor", "product", "at", "action", *OF_EVENTS]
    items = ["product", *OF_ITEMS]
    promotions = ["product", "from", "to", *OF_PROMOTIONS]
    expected = find_columns(spec_of(), config, [log], items, promotions)

    found = prepared_columns(write_prepared(OF_EVENTS + OF_PROMOTIONS, OF_ITEMS), config, spec_of())

    assert found == expected
    assert set(found.places) == {name for name in FEATURES if FEATURES[name]["kind"] != "sequence"}


def test_feature_that_the_data_lack_is_named(
    config: DataConfig, write_prepared: Callable[..., PreparedData]
) -> None:
    data = write_prepared(OF_EVENTS, OF_ITEMS)

    with pytest.raises(UserError, match=r"^features\.offer: not in .*run `tfrec prepare` again"):
        prepared_columns(data, config, spec_of())
