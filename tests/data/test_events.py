from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from pydantic import TypeAdapter
from records import read_rejects

from tfrec.data.catalogue import Catalogue
from tfrec.data.config import DataConfig
from tfrec.data.counts import Counts
from tfrec.data.erased import erase
from tfrec.data.events import (
    PART,
    TYPE,
    USER,
    LogFiles,
    apply_minimums,
    event_files,
    first_and_last,
    prepare_events,
)
from tfrec.data.prepared import PreparedData
from tfrec.errors import UserError
from tfrec.features import Feature
from tfrec.features.parsing import ITEM_ROW, TIME

CATEGORY = {"role": "context", "kind": "categorical", "embedding": 2}
NUMBER = {"role": "context", "kind": "numeric"}
DAY = 86_400

Prepare = Callable[..., tuple[list[dict], Counts]]


def read_events(folder: Path) -> list[dict]:
    return [row for file in event_files(folder) for row in pa.parquet.read_table(file).to_pylist()]


@pytest.fixture
def prepare(
    make_config: Callable[..., DataConfig],
    output: PreparedData,
    write_catalogue: Callable[..., Catalogue],
) -> Prepare:
    """Prepares one log, or several: lists of files, and changes of each log's section."""
    write_catalogue(["apple", "bread", "cheese"])

    def run(
        *files: str | list[str],
        logs: list[dict[str, Any]] | None = None,
        features: Mapping[str, Any] | None = None,
        parts: list[str] | None = None,
        **data: Any,
    ) -> tuple[list[dict], Counts]:
        paths = [[file] if isinstance(file, str) else file for file in files]
        config = make_config(*(logs or [{}] * len(files)), **data)
        spec = {
            name: TypeAdapter(Feature).validate_python(content)
            for name, content in (features or {}).items()
        }
        read = [
            LogFiles(log, some, pa.parquet.read_schema(some[0]).names, part)
            if some[0].endswith("parquet")
            else LogFiles(log, some, Path(some[0]).read_text().split("\n")[0].split(","), part)
            for log, some, part in zip(
                config.events, paths, parts or [None] * len(files), strict=True
            )
        ]
        counted = prepare_events(config, spec, read, {}, config.shards, output)
        counted.dropped |= apply_minimums(config, 3, output).dropped
        return read_events(output.events), counted

    return run


def test_accepted_rows_name_items_by_their_row_and_keep_features(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    file = write_parquet(shopper=[7], sku=["cheese"], at=[100], till=[3], paid=["1.5"], more=["no"])

    rows, counted = prepare(file, features={"till": CATEGORY, "paid": NUMBER})

    assert rows == [
        {USER: "7", ITEM_ROW: 2, TIME: 100, TYPE: "event", PART: None, "till": "3", "paid": 1.5}
    ]
    assert counted == Counts(read=1)


def test_rejected_rows_are_counted_with_their_first_reason(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    file = write_parquet(
        shopper=["u", None, "u", "u", "u", None, "x" * 1025, "u"],
        sku=["apple", "apple", None, "apple", "kiwi", None, "apple", "apple"],
        at=[1, 2, 3, None, 5, None, 7, 8],
        paid=["1", "1", "1", "1", "1", "1", "1", "much"],
    )

    rows, counted = prepare(file, features={"paid": NUMBER})

    assert [row[TIME] for row in rows] == [1]
    assert counted.read == 8
    assert counted.rejected == {
        "missing user": 2,
        "missing item": 1,
        "missing time": 1,
        "item not in the catalogue": 1,
        "user: longer than 1,024 bytes": 1,
        "paid: not a number": 1,
    }
    assert counted.kept == len(rows)


def test_rejected_rows_are_written_with_file_line_reason_and_row(
    prepare: Prepare, write_parquet: Callable[..., str], output: PreparedData, tmp_path: Path
) -> None:
    first = write_parquet(shopper=["u", None], sku=["apple"] * 2, at=[1, 2])
    second = tmp_path / "second.csv"
    second.write_text("shopper,sku,at\nü,kiwi,3\nu,apple\n")

    prepare(first, str(second))

    lines = read_rejects(output.rejects, "events")
    assert sorted(lines, key=lambda line: (line["file"], line["line"])) == [
        {
            "file": str(second), "line": 2, "reason": "item not in the catalogue",
            "row": {"shopper": "ü", "sku": "kiwi", "at": "3"},
        },
        {"file": str(second), "line": 3, "reason": "wrong number of columns", "row": "u,apple"},
        {
            "file": first, "line": 2, "reason": "missing user",
            "row": {"shopper": None, "sku": "apple", "at": 2},
        },
    ]  # fmt: skip


def test_logs_have_columns_types_and_units_of_their_own(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    orders = write_parquet(shopper=["u"], sku=["apple"], at=[1_600_000_000], till=["t"])
    views = write_parquet(
        visitor=["u", "v"], page=["bread", "apple"], ms=[1_600_000_000_999, 1_600_000_005_000],
        event=["view", "click"], DEVICE=["phone", None],
    )  # fmt: skip

    rows, counted = prepare(
        orders, views,
        logs=[
            {"type": "order"},
            {
                "user": "visitor", "item": "page", "time": "ms", "unit": "ms",
                "type_column": "event", "columns": {"device": "DEVICE"},
            },
        ],
        features={"till": CATEGORY, "device": CATEGORY},
    )  # fmt: skip

    found = [tuple(row[n] for n in (USER, TIME, ITEM_ROW, TYPE, "till", "device")) for row in rows]
    assert sorted(found) == [
        ("u", 1_600_000_000, 0, "order", "t", None),
        ("u", 1_600_000_000, 1, "view", None, "phone"),
        ("v", 1_600_000_005, 0, "click", None, None),
    ]
    assert counted == Counts(read=3)


def test_types_without_a_weight_are_rejected_and_those_of_weight_0_are_kept(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    file = write_parquet(
        shopper=["u"] * 5, sku=["apple"] * 5, at=range(5),
        action=["buy", "view", "spin", None, "Buy"],
    )  # fmt: skip

    rows, counted = prepare(
        file, logs=[{"type_column": "action", "weights": {"buy": 2, "view": 0}}]
    )

    assert [row[TYPE] for row in rows] == ["buy", "view"]
    assert counted == Counts(5, {"event type not in weights": 3})


@pytest.mark.parametrize(
    ("moments", "log"),
    [
        (pa.array([DAY - 1, DAY]), {}),
        (pa.array([DAY - 1, DAY], pa.int32()), {}),
        (pa.array([DAY - 0.5, DAY + 0.5]), {}),
        (pa.array([DAY - 1, DAY], pa.timestamp("s")), {}),
        (pa.array([86_399_000_001, 86_400_000_000], pa.timestamp("us", "Europe/Berlin")), {}),
        (pa.array([86_399_999, 86_400_000]), {"unit": "ms"}),
        (pa.array(["1970-01-01 23:59:59", "1970-01-02T01:00:00+01:00"]), {}),
        (pa.array(["01.01.70 23:59:59", "02.01.70 00:00:00"]), {"format": "%d.%m.%y %H:%M:%S"}),
    ],
    ids=lambda value: str(getattr(value, "type", value)),
)
def test_times_are_whole_seconds_whatever_their_form(
    prepare: Prepare, write_parquet: Callable[..., str], moments: pa.Array, log: dict[str, Any]
) -> None:
    rows, counted = prepare(
        write_parquet(shopper=["u", "u"], sku=["apple"] * 2, at=moments), logs=[log]
    )

    assert [row[TIME] for row in rows] == [DAY - 1, DAY]
    assert counted == Counts(read=2)


def test_times_of_another_unit_or_form_are_rejected(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    file = write_parquet(
        shopper=["u"] * 4, sku=["apple"] * 4,
        at=["1600000000", "1600000000000", "last week", "2020-02-30"],
    )  # fmt: skip

    rows, counted = prepare(file)

    assert [row[TIME] for row in rows] == [1_600_000_000]
    assert counted.rejected == {
        "time: looks like ms, not s": 1,
        "time: no time that can be read": 2,
    }


def test_events_outside_the_range_are_dropped_and_counted(
    prepare: Prepare, write_parquet: Callable[..., str], output: PreparedData
) -> None:
    file = write_parquet(
        shopper=["u"] * 6, sku=["apple"] * 6,
        at=[f"2024-01-0{day}T00:00:00" for day in range(1, 7)],
    )  # fmt: skip

    rows, counted = prepare(
        file, clean={"after": "2024-01-02", "before": "2024-01-05T01:00:00+01:00"}
    )

    first = 1_704_153_600
    assert [row[TIME] for row in rows] == [first, first + DAY, first + 2 * DAY]
    assert sum(counted.dropped.values()) == 3
    assert {reason.split("T")[0]: count for reason, count in counted.dropped.items()} == {
        "not after 2024-01-02": 1, "not before 2024-01-05": 2
    }  # fmt: skip
    assert counted.kept == 3
    assert read_rejects(output.rejects, "events") == []


def test_only_events_equal_in_all_columns_are_duplicates(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    columns = {
        "shopper": ["u", "u", "u", "u", "u", "u", "v"],
        "sku": ["apple"] * 6 + ["bread"],
        "at": [5, 5, 5, 5, 5, 6, 5],
        "till": ["a", "b", "a", None, "None", "a", "a"],
        "lists": [["x"]] * 5 + [["x"], ["x", "y"]],
    }
    features = {"till": CATEGORY, "lists": {**CATEGORY, "kind": "multi_categorical"}}
    first, second = write_parquet(**columns), write_parquet(**columns)

    rows, counted = prepare([first, second], features=features)

    assert counted == Counts(14, {}, {"duplicate": 8})
    found = Counter((row[USER], row[TIME], row["till"]) for row in rows)
    expected = [("u", 5, till) for till in ("a", "b", None, "None")]
    assert found == Counter([*expected, ("u", 6, "a"), ("v", 5, "a")])
    assert counted.kept == len(rows)


def test_duplicates_may_be_kept(prepare: Prepare, write_parquet: Callable[..., str]) -> None:
    file = write_parquet(shopper=["u", "u"], sku=["apple"] * 2, at=[5, 5])

    rows, counted = prepare(file, clean={"duplicates": "keep"})

    assert len(rows) == 2
    assert counted == Counts(2)


def test_robots_are_dropped_whole(prepare: Prepare, write_parquet: Callable[..., str]) -> None:
    file = write_parquet(
        shopper=["robot"] * 5 + ["person"] * 3, sku=["apple"] * 8,
        at=[0, 1000, 1001, 1002, 9000, 0, 60, 61],
    )  # fmt: skip

    rows, counted = prepare(file, clean={"robots": {"events": 2, "within": "1m"}})

    assert [(row[USER], row[TIME]) for row in rows] == [("person", at) for at in (0, 60, 61)]
    assert counted == Counts(8, {}, {"robot": 5})


@pytest.mark.parametrize(
    ("k_core", "left"), [(False, {("u", 0): 3, ("v", 1): 1}), (True, {("u", 0): 3})]
)
def test_minimums_hold_once_or_for_all_that_is_left(
    prepare: Prepare, write_parquet: Callable[..., str], k_core: bool, left: dict
) -> None:
    # Item 1 has two events; of these, one is of a shopper who has too few.
    file = write_parquet(
        shopper=["u", "u", "u", "v", "v", "w"],
        sku=["apple", "apple", "apple", "bread", "cheese", "bread"],
        at=range(6),
    )
    minimum = {"min_user_events": 2, "min_item_events": 1 if not k_core else 2}

    rows, counted = prepare(file, clean={**minimum, "k_core": k_core})

    found = Counter((row[USER], row[ITEM_ROW]) for row in rows)
    assert {key: found[key] for key in left} == left
    assert ("w", 1) not in found
    assert counted.kept == len(rows)
    assert set(counted.dropped) == {"too few events of shopper or item"}


def test_no_row_of_a_mixed_log_is_lost_uncounted(
    prepare: Prepare, write_parquet: Callable[..., str], output: PreparedData
) -> None:
    random = np.random.default_rng(1)
    size = 600
    columns = {
        "shopper": random.choice(["a", "b", "c", "d", "e", "", None], size),
        "sku": random.choice(["apple", "bread", "cheese", "kiwi", None], size),
        "at": [str(at) if at % 11 else "never" for at in random.integers(80, size=size)],
        "till": random.choice(["1", "2"], size),
    }

    rows, counted = prepare(
        write_parquet(**columns),
        features={"till": CATEGORY},
        clean={
            "after": "1970-01-01T00:00:05", "before": "1970-01-01T00:01:00", "min_item_events": 90
        },
    )  # fmt: skip

    plain: Counter[str] = Counter()
    good = Counter()
    for shopper, sku, at, till in zip(*columns.values(), strict=True):
        if at == "never":
            plain["time: no time that can be read"] += 1
        elif not shopper:
            plain["missing user"] += 1
        elif sku is None:
            plain["missing item"] += 1
        elif sku == "kiwi":
            plain["item not in the catalogue"] += 1
        elif 5 <= int(at) < 60:
            good[shopper, sku, int(at), till] += 1
    of_item = Counter(sku for _, sku, _, _ in good)
    assert counted.rejected == plain
    assert Counter(line["reason"] for line in read_rejects(output.rejects, "events")) == plain
    assert counted.dropped["duplicate"] == good.total() - len(good)
    left = {event for event in good if of_item[event[1]] >= 90}
    names = ["apple", "bread", "cheese"]
    assert {(r[USER], names[r[ITEM_ROW]], r[TIME], r["till"]) for r in rows} == left
    assert counted.read == size
    assert counted.kept == len(rows) == len(left)


def shop_files(write_parquet: Callable[..., str], count: int) -> list[str]:
    random = np.random.default_rng(0)
    items = np.array(["apple", "bread", "cheese"])
    return [
        write_parquet(
            shopper=[f"u{n}" for n in random.integers(20, size=200)],
            sku=items[random.integers(3, size=200)],
            at=random.integers(30, size=200),
            till=random.choice(["x", "y", "z"], 200),
        )
        for _ in range(count)
    ]


def test_each_file_holds_whole_shoppers_sorted_by_time(
    prepare: Prepare, write_parquet: Callable[..., str], output: PreparedData
) -> None:
    rows, counted = prepare(shop_files(write_parquet, 2), clean={"duplicates": "keep"}, shards=3)

    assert len(rows) == counted.read == 400
    written = event_files(output.events)
    assert [file.name for file in written] == [f"events-0000{n}-of-00003.parquet" for n in range(3)]
    owners: dict[str, Path] = {}
    for file in written:
        events = pa.parquet.read_table(file).to_pylist()
        keys = [(event[USER], event[TIME]) for event in events]
        assert keys == sorted(keys)
        assert all(owners.setdefault(user, file) == file for user, _ in keys)


def test_events_of_one_time_stand_as_in_the_logs(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    first, second = (
        write_parquet(shopper=["u"] * 4, sku=items, at=[7, 5, 7, 7])
        for items in (
            ["cheese", "bread", "apple", "cheese"],
            ["bread", "cheese", "cheese", "apple"],
        )
    )

    rows, counted = prepare([second, first])

    apple, bread, cheese = range(3)
    assert [row[ITEM_ROW] for row in rows] == [bread, cheese, cheese, apple, bread]
    assert [row[TIME] for row in rows] == [5, 5, 7, 7, 7]
    assert counted.dropped == {"duplicate": 3}


def test_same_events_come_out_whatever_the_order_of_the_files(
    prepare: Prepare, write_parquet: Callable[..., str], output: PreparedData
) -> None:
    files = shop_files(write_parquet, 3)

    def content(paths: list[str]) -> list[dict]:
        rows, _ = prepare(paths, features={"till": CATEGORY}, clean={"duplicates": "keep"})
        for file in event_files(output.events):
            file.unlink()
        output.events.rmdir()
        return rows

    first = content(files)

    assert content(files[::-1]) == first
    assert content(files) == first


def test_events_know_the_part_of_their_files(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    files = [write_parquet(shopper=["u"], sku=["apple"], at=[at]) for at in (1, 2)]

    rows, counted = prepare(*files, parts=["train", "test"])

    assert [(row[TIME], row[PART]) for row in rows] == [(1, "train"), (2, "test")]
    assert counted == Counts(2)


def test_times_of_the_first_and_the_last_event_are_found(
    prepare: Prepare, write_parquet: Callable[..., str], output: PreparedData
) -> None:
    prepare(write_parquet(shopper=["u", "v", "w"], sku=["apple"] * 3, at=[30, 10, 20]))

    assert first_and_last(output.events) == (10, 30)


def test_log_without_one_good_row_is_refused(
    prepare: Prepare, write_parquet: Callable[..., str], output: PreparedData
) -> None:
    prepare(write_parquet(shopper=["u"], sku=["kiwi"], at=[1]))

    with pytest.raises(UserError, match=r"no event is left; rejects/ and data\.clean say why"):
        first_and_last(output.events)


def test_log_of_which_the_minimums_leave_nothing_is_refused(
    prepare: Prepare, write_parquet: Callable[..., str], output: PreparedData
) -> None:
    rows, counted = prepare(
        write_parquet(shopper=["u"], sku=["apple"], at=[1]), clean={"min_user_events": 2}
    )

    assert rows == []
    assert counted == Counts(1, {}, {"too few events of shopper or item": 1})
    with pytest.raises(UserError, match="no event is left"):
        first_and_last(output.events)


def test_events_of_erased_shoppers_are_dropped_and_not_even_rejected(
    prepare: Prepare,
    write_parquet: Callable[..., str],
    output: PreparedData,
    tmp_path: Path,
) -> None:
    erase(tmp_path / "erased", "7", 100)
    file = write_parquet(
        shopper=[7, 7, 7, 8, None],
        sku=["apple", "bread", "kiwi", "bread", "bread"],
        at=[100, 101, 50, 100, 100],
    )

    rows, counted = prepare(file, clean={"erased": str(tmp_path / "erased")})

    assert [(row[USER], row[TIME]) for row in rows] == [("7", 101), ("8", 100)]
    assert counted == Counts(read=5, rejected={"missing user": 1}, dropped={"erased": 2})
    rejected = read_rejects(output.rejects, "events")
    assert [line["reason"] for line in rejected] == ["missing user"]
