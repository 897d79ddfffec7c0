import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from tfrec.data.beam import Counts
from tfrec.data.catalogue import Catalogue, prepare_catalogue
from tfrec.data.config import DataConfig
from tfrec.data.events import USER, check_time_type, first_and_last, item_counts, prepare_events
from tfrec.data.prepared import PreparedData
from tfrec.data.split import Window
from tfrec.errors import UserError
from tfrec.features.parsing import ITEM_ROW, TIME

Prepare = Callable[..., tuple[list[dict], Counts]]


def read_rows(folder: Path) -> list[dict]:
    files = sorted(folder.glob("*.parquet"))
    return [row for file in files for row in pa.parquet.read_table(file).to_pylist()]


@pytest.fixture
def prepare(
    small_config: DataConfig, output: PreparedData, write_catalogue: Callable[..., Catalogue]
) -> Prepare:
    write_catalogue(["apple", "bread", "cheese"])

    def run(*files: str, features: Sequence[str] = ()) -> tuple[list[dict], Counts]:
        counts = prepare_events(small_config, features, files, output)
        return read_rows(output.events), counts

    return run


def test_accepted_rows_name_items_by_their_row_and_keep_features_as_strings(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    file = write_parquet(shopper=[7], sku=["cheese"], at=[100], till=[3], note=["unused"])

    rows, counts = prepare(file, features=["till"])

    assert rows == [{USER: "7", ITEM_ROW: 2, TIME: 100, "till": "3"}]
    assert counts == Counts(read=1)


def test_rejected_rows_are_counted_with_their_first_reason(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    file = write_parquet(
        shopper=["u", None, "u", "u", "u", None],
        sku=["apple", "apple", None, "apple", "kiwi", None],
        at=[1, 2, 3, None, 5, None],
    )

    rows, counts = prepare(file)

    assert [row[TIME] for row in rows] == [1]
    assert counts.read == 6
    assert counts.rejected == {
        "missing user": 2,
        "missing item": 1,
        "missing time": 1,
        "item not in the catalogue": 1,
    }
    assert counts.rejected_share == pytest.approx(5 / 6)


def test_rejected_rows_are_written_as_lines_of_json_with_their_reason(
    prepare: Prepare, write_parquet: Callable[..., str], output: PreparedData
) -> None:
    moment = datetime(2020, 1, 2, 3, 4, 5)
    file = write_parquet(shopper=[None, "ü"], sku=["apple", "kiwi"], at=[moment, moment])

    prepare(file)

    texts = [file.read_text() for file in output.rejects.glob("events*")]
    lines = [json.loads(line) for text in texts for line in text.splitlines()]
    rejected = {line["reason"]: line["row"] for line in lines}
    assert len(lines) == 2
    assert rejected["missing user"]["sku"] == "apple"
    assert set(rejected["missing user"]) == {"shopper", "sku", "at"}
    assert rejected["item not in the catalogue"]["shopper"] == "ü"
    assert rejected["item not in the catalogue"]["at"] == "2020-01-02 03:04:05"


def test_each_file_holds_whole_shoppers_sorted_by_time_and_item(
    prepare: Prepare,
    write_parquet: Callable[..., str],
    small_config: DataConfig,
    output: PreparedData,
) -> None:
    random = np.random.default_rng(0)
    items = np.array(["apple", "bread", "cheese"])
    files = [
        write_parquet(
            shopper=[f"u{n}" for n in random.integers(20, size=200)],
            sku=items[random.integers(3, size=200)],
            at=random.integers(30, size=200),
        )
        for _ in range(2)
    ]

    rows, counts = prepare(*files)

    assert len(rows) == counts.read == 400
    written = sorted(output.events.glob("*.parquet"))
    assert len(written) == small_config.shards
    owners: dict[str, Path] = {}
    for file in written:
        events = pa.parquet.read_table(file).to_pylist()
        keys = [(event[USER], event[TIME], event[ITEM_ROW]) for event in events]
        assert keys == sorted(keys)
        assert all(owners.setdefault(user, file) == file for user, _, _ in keys)


@pytest.mark.parametrize(
    "moments",
    [
        pa.array([86_399, 86_400]),
        pa.array([86_399, 86_400], pa.int32()),
        pa.array([86_399, 86_400], pa.timestamp("s")),
        pa.array([86_399_999, 86_400_000], pa.timestamp("ms")),
        pa.array([86_399_000_001, 86_400_000_000], pa.timestamp("us", "Europe/Berlin")),
        pa.array([86_399_000_001_000, 86_400_000_999_000], pa.timestamp("ns")),
    ],
    ids=lambda moments: str(moments.type),
)
def test_timestamps_and_whole_seconds_are_both_times(
    prepare: Prepare, write_parquet: Callable[..., str], moments: pa.Array
) -> None:
    rows, _ = prepare(write_parquet(shopper=["u", "u"], sku=["apple"] * 2, at=moments))

    assert [row[TIME] for row in rows] == [86_399, 86_400]


@pytest.mark.parametrize("kind", [pa.string(), pa.float64(), pa.date32(), pa.null()], ids=str)
def test_times_of_another_type_are_refused_with_what_to_give(
    small_config: DataConfig, kind: pa.DataType
) -> None:
    check_time_type(small_config.events, {"at": pa.timestamp("ms")})
    check_time_type(small_config.events, {"at": pa.int32()})

    with pytest.raises(UserError) as caught:
        check_time_type(small_config.events, {"at": kind})

    assert str(caught.value) == (
        f"data.events.time: column 'at' holds values of type {kind}; "
        "give timestamps, or whole seconds since 1970"
    )


def test_csv_log_is_read(prepare: Prepare, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text(
        "at,shopper,sku,channel\n"
        "1970-01-01 00:01:40,12,bread,web\n"
        "1970-01-01 00:01:00,12,apple,app\n"
        "1970-01-01 00:02:00,,apple,app\n"
    )

    rows, counts = prepare(str(file), features=["channel"])

    assert rows == [
        {USER: "12", ITEM_ROW: 0, TIME: 60, "channel": "app"},
        {USER: "12", ITEM_ROW: 1, TIME: 100, "channel": "web"},
    ]
    assert counts.rejected == {"missing user": 1}


def test_ids_in_a_csv_log_stay_as_they_are_written_and_match_a_parquet_catalogue(
    small_config: DataConfig,
    output: PreparedData,
    prepare: Prepare,
    write_parquet: Callable[..., str],
    tmp_path: Path,
) -> None:
    items = write_parquet(sku=["7", "007"], title=["seven", "agent"], size=["1", "2"])
    prepare_catalogue(small_config, [], [items], output)
    file = tmp_path / "events.csv"
    file.write_text("shopper,sku,at,till\n0012,007,60,01\n12,7,70,1\n")

    rows, counts = prepare(str(file), features=["till"])

    assert sorted(rows, key=lambda row: row[TIME]) == [
        {USER: "0012", ITEM_ROW: 0, TIME: 60, "till": "01"},
        {USER: "12", ITEM_ROW: 1, TIME: 70, "till": "1"},
    ]
    assert counts == Counts(read=2)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_empty_ids_are_missing_and_so_are_empty_features(
    prepare: Prepare, write_parquet: Callable[..., str], tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "events.csv"
    file.write_text("shopper,sku,at,till\n,apple,1,a\nu,,2,b\nu,apple,3,\n")
    if kind == "parquet":
        file = write_parquet(
            shopper=["", "u", "u"], sku=["apple", "", "apple"], at=[1, 2, 3], till=["a", "b", ""]
        )

    rows, counts = prepare(str(file), features=["till"])

    assert rows == [{USER: "u", ITEM_ROW: 0, TIME: 3, "till": None}]
    assert counts.rejected == {"missing user": 1, "missing item": 1}


def test_times_of_the_first_and_the_last_event_are_found(
    prepare: Prepare, write_parquet: Callable[..., str], output: PreparedData
) -> None:
    prepare(write_parquet(shopper=["u", "v", "w"], sku=["apple"] * 3, at=[30, 10, 20]))

    assert first_and_last(output.events) == (10, 30)


def test_log_without_one_good_row_is_refused(
    prepare: Prepare, write_parquet: Callable[..., str], output: PreparedData
) -> None:
    prepare(write_parquet(shopper=["u"], sku=["kiwi"], at=[1]))

    with pytest.raises(UserError, match="every row was rejected; rejects/ says why"):
        first_and_last(output.events)


def test_events_of_an_item_are_counted_within_a_window(
    prepare: Prepare, write_parquet: Callable[..., str], output: PreparedData
) -> None:
    prepare(
        write_parquet(
            shopper=["u", "v", "u", "v", "u"],
            sku=["apple", "apple", "cheese", "apple", "bread"],
            at=[10, 11, 12, 19, 20],
        )
    )

    counts = item_counts(output.events, Window(10, 20), items=4)

    assert counts.tolist() == [3, 0, 1, 0]
