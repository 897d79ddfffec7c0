"""What a shop's data can be like, and what becomes of it: no row is lost without a word."""

import gzip
import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf
from records import read_rejects

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue, prepare_catalogue
from tfrec.data.config import DataConfig
from tfrec.data.counts import Counts
from tfrec.data.events import USER, LogFiles, event_files, prepare_events
from tfrec.data.prepared import PreparedData
from tfrec.data.sources import column_types, find_files
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, TIME
from tfrec.stages.prepare import prepare

CATEGORY = {"kind": "categorical", "embedding": 2, "lookup": "hash", "rows": 50}
FEATURES = {
    "shopper": {"role": "user", **CATEGORY},
    "sku": {"role": "item", **CATEGORY},
    "aisle": {"role": "item", **CATEGORY},
    "price": {"role": "item", "kind": "numeric"},
    "channel": {"role": "context", **CATEGORY},
    "paid": {"role": "context", "kind": "numeric"},
}
SPEC = validate(FeatureSpec, FEATURES)

Columns = Mapping[str, Sequence[Any]]

EVENTS: Columns = {
    "shopper": ["ann", "ann", "bob", "bob"],
    "sku": ["apple", "bread", "apple", "bread"],
    "at": [1_600_000_000, 1_600_000_100, 1_600_000_200, 1_600_000_300],
    "channel": ["web", "app", None, "wéb"],
    "paid": [1.5, 2.0, None, 4.0],
}
ITEMS: Columns = {"sku": ["apple", "bread"], "aisle": ["fruit", None], "price": [1.5, None]}


class Cleaned(NamedTuple):
    """What is left of a shop's data, and what became of the other rows."""

    events: list[dict]
    items: list[dict]
    events_counts: Counts
    items_counts: Counts
    rejects: PreparedData

    def lines(self, source: str) -> dict[int, str]:
        """Line -> why it was rejected."""
        found = read_rejects(self.rejects.rejects, source)
        assert all(set(line) == {"file", "line", "reason", "row"} for line in found)
        return {line["line"]: line["reason"] for line in found}


class Bench:
    """Writes a shop's files and cleans them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, name: str, content: bytes | str | Columns) -> str:
        """Writes a file of any kind; columns are written as its suffix says."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Mapping):
            content = encode(content, name)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def config(self, events: str | list[str], items: str | None = None, **data: Any) -> DataConfig:
        """The `data` section; `log` changes that of the events."""
        log = {"source": events, "user": "shopper", "item": "sku", "time": "at"}
        content = {
            "events": log | data.pop("log", {}),
            "items": {"source": items or self.file("items.parquet", ITEMS), "id": "sku"},
            "split": {"kind": "leave_last_out"},
            "shards": 1,
            **data,
        }
        return validate(DataConfig, content, "data")

    def clean(self, events: str | list[str], items: str | None = None, **data: Any) -> Cleaned:
        """Takes the first steps of preparation, which is done with rows then."""
        config = self.config(events, items, **data)
        (log,) = config.events
        output = PreparedData(self._folder / "prepared")
        output.rejects.mkdir(parents=True)
        files = find_files("data.items.source", config.items.source)
        column_types("data.items.source", files)
        spec = {name: SPEC[name] for name in ("aisle", "price")}
        of_items = prepare_catalogue(config, spec, files, output)
        paths = find_files("data.events.source", log.source)
        read = LogFiles(log, paths, list(column_types("data.events.source", paths)))
        spec = {name: SPEC[name] for name in ("channel", "paid")}
        of_events = prepare_events(config, spec, [read], {}, 1, output)
        tables = [pa.parquet.read_table(file).to_pylist() for file in event_files(output.events)]
        items_left = Catalogue(output.catalogue).table.to_pylist()
        cleaned = Cleaned([r for t in tables for r in t], items_left, of_events, of_items, output)
        for counts, left, source in (
            (of_events, cleaned.events, "events"), (of_items, cleaned.items, "items")
        ):  # fmt: skip
            assert counts.kept == len(left)
            assert Counter(counts.rejected) == Counter(
                line["reason"] for line in read_rejects(output.rejects, source)
            )
        return cleaned

    def refusal(self, events: str | list[str], items: str | None = None, **data: Any) -> str:
        """The message with which preparation fails."""
        with pytest.raises(UserError) as caught:
            prepare(self.config(events, items, **data), SPEC, self._folder / "prepare")
        assert not (self._folder / "prepare").exists()
        return str(caught.value)


def encode(columns: Columns, name: str) -> bytes:
    """Writes columns in the format of a file's name."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if name.endswith(".gz"):
        return gzip.compress(encode(columns, name.removesuffix(".gz")))
    if name.endswith("parquet"):
        sink = pa.BufferOutputStream()
        pa.parquet.write_table(pa.table(dict(columns)), sink)
        return sink.getvalue().to_pybytes()
    if name.endswith("jsonl"):
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    if name.endswith("tfrecord"):
        with tempfile.TemporaryDirectory() as scratch:
            _write_examples(rows, path := Path(scratch) / "rows")
            return path.read_bytes()
    delimiter = "\t" if name.endswith("tsv") else ","
    lines = [["" if v is None else str(v) for v in row.values()] for row in rows]
    return "".join(delimiter.join(line) + "\n" for line in [list(columns), *lines]).encode()


def _write_examples(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    with tf.io.TFRecordWriter(str(path)) as file:
        for row in rows:
            file.write(_example(row).SerializeToString())


def _example(row: Mapping[str, Any]) -> tf.train.Example:
    example = tf.train.Example()
    for name, value in row.items():
        feature = example.features.feature[name]
        if isinstance(value, str | bytes):
            feature.bytes_list.value.append(value if isinstance(value, bytes) else value.encode())
        elif isinstance(value, int):
            feature.int64_list.value.append(value)
        elif value is not None:
            feature.float_list.value.append(value)
    return example


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def changed(columns: Columns, **values: Sequence[Any]) -> Columns:
    return {**columns, **values}


@pytest.mark.parametrize(
    "suffix", ["csv", "tsv", "csv.gz", "jsonl", "jsonl.gz", "tfrecord", "tfrecord.gz"]
)
def test_every_format_gives_the_same_data(bench: Bench, suffix: str, tmp_path: Path) -> None:
    expected = Bench(tmp_path / "parquet").clean(
        Bench(tmp_path / "parquet").file("events.parquet", EVENTS)
    )

    found = bench.clean(
        bench.file(f"events.{suffix}", EVENTS), bench.file(f"items.{suffix}", ITEMS)
    )

    assert found.events == expected.events
    assert found.items == expected.items
    assert found.events_counts == expected.events_counts == Counts(4)
    assert found.items_counts == expected.items_counts == Counts(2)


def test_truncated_gzip_fails_with_its_name(bench: Bench) -> None:
    whole = changed(EVENTS, paid=[0.123456789, 9.87654321, 5.55555, 0.1])
    content = encode(whole, "events.csv.gz")

    message = bench.refusal([bench.file("good.csv", EVENTS), bench.file("x.csv.gz", content[:-20])])

    assert "x.csv.gz: cannot be read after" in message
    assert message.endswith("mend the file or leave it out")


@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_truncated_parquet_fails_with_its_name(bench: Bench, kept: float) -> None:
    content = encode(EVENTS, "events.parquet")

    message = bench.refusal(bench.file("torn.parquet", content[: int(len(content) * kept)]))

    assert "torn.parquet: cannot be read after 0 rows" in message


def test_corrupt_tfrecord_fails_with_its_name(bench: Bench) -> None:
    content = bytearray(encode(EVENTS, "events.tfrecord"))
    content[-30] ^= 0xFF

    message = bench.refusal(bench.file("flipped.tfrecord", bytes(content)))

    assert "flipped.tfrecord: cannot be read after" in message
    assert "checksum" in message


def test_corrupt_catalogue_fails_with_its_name(bench: Bench) -> None:
    torn = bench.file("catalogue.parquet", encode(ITEMS, "items.parquet")[:-9])

    message = bench.refusal(bench.file("events.csv", EVENTS), torn)

    assert message.startswith("data.items.source: ")
    assert "catalogue.parquet: cannot be read after 0 rows" in message


def test_file_of_another_header_is_refused_with_both_names(bench: Bench) -> None:
    first = bench.file("log/a.csv", EVENTS)
    other = {name: values for name, values in EVENTS.items() if name != "channel"}
    second = bench.file("log/b.csv", other)

    message = bench.refusal([first, second])

    assert message == (
        f"data.events.source: {second}: lacks channel, which {first} has; give files of one header"
    )


def test_columns_may_stand_in_another_order(bench: Bench) -> None:
    first = bench.file("a.csv", EVENTS)
    moved = changed(EVENTS, shopper=["cid"] * 4)
    second = bench.file("b.csv", {name: moved[name] for name in reversed(list(moved))})

    cleaned = bench.clean([first, second])

    assert cleaned.events_counts == Counts(8)
    assert Counter(row[USER] for row in cleaned.events) == {"ann": 2, "bob": 2, "cid": 4}


def test_empty_files_are_passed_over(bench: Bench) -> None:
    files = [
        bench.file("a.csv", ""),
        bench.file("b.csv", EVENTS),
        bench.file("c.csv", ",".join(EVENTS) + "\n"),
        bench.file("d.csv", "\n\n"),
    ]

    cleaned = bench.clean(files)

    assert cleaned.events_counts == Counts(4)


@pytest.mark.parametrize("content", ["", ",".join(EVENTS) + "\n"])
def test_log_of_only_empty_files_is_refused(bench: Bench, content: str) -> None:
    message = bench.refusal(bench.file("a.csv", content))

    assert message.startswith("data.events.source: ")
    assert "give files with rows" in message


def test_directory_with_nothing_is_refused(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()

    message = bench.refusal(str(tmp_path / "log"))

    assert message.startswith(f"data.events.source: '{tmp_path / 'log'}': holds no data files")


def test_source_that_is_nowhere_is_refused(bench: Bench) -> None:
    message = bench.refusal("no/such/log-*.csv")

    assert message.startswith("data.events.source: 'no/such/log-*.csv': no such file")


def test_file_of_an_unknown_kind_is_refused(bench: Bench) -> None:
    message = bench.refusal(bench.file("events.xlsx", "PK"))

    assert "events.xlsx: unknown kind of file" in message


def test_milliseconds_in_one_file_and_seconds_in_another_are_refused_with_both(
    bench: Bench,
) -> None:
    seconds = bench.file("a.csv", EVENTS)
    milliseconds = bench.file("b.csv", changed(EVENTS, at=[at * 1000 for at in EVENTS["at"]]))

    message = bench.refusal([seconds, milliseconds])

    assert message.startswith("data.events.at: ")
    assert f"1600000000 in {seconds} " in message
    assert f"1600000000000 in {milliseconds} " in message


def test_log_in_milliseconds_is_refused_with_the_unit_to_set(bench: Bench) -> None:
    file = bench.file("a.csv", changed(EVENTS, at=[at * 1000 for at in EVENTS["at"]]))

    message = bench.refusal(file)

    assert message.startswith("data.events.unit: ")
    assert f"1600000000000 in {file} " in message
    assert message.endswith(" ms")


def test_milliseconds_further_down_are_rejected(bench: Bench) -> None:
    at = [*EVENTS["at"][:3], 1_600_000_300_000]

    cleaned = bench.clean(bench.file("a.csv", changed(EVENTS, at=at)))

    assert cleaned.events_counts == Counts(4, {"time: looks like ms, not s": 1})
    assert cleaned.lines("events") == {5: "time: looks like ms, not s"}


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_invalid_utf8_is_rejected_in_text(bench: Bench, suffix: str) -> None:
    name = f"a.{suffix}"
    content = encode(EVENTS, name).replace("wéb".encode(), b"w\xe9b")

    cleaned = bench.clean(bench.file(name, content))

    assert cleaned.events_counts == Counts(4, {"invalid UTF-8": 1})
    assert list(cleaned.lines("events").values()) == ["invalid UTF-8"]


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [("parquet", pa.binary()), ("parquet", pa.string()), ("tfrecord", pa.binary())],
)
def test_invalid_utf8_is_rejected_in_typed_files(
    bench: Bench, suffix: str, kind: pa.DataType
) -> None:
    channels = [b"web", b"app", None, b"w\xe9b"]
    if suffix == "parquet":
        channels = pa.array(channels).view(kind)

    cleaned = bench.clean(bench.file(f"a.{suffix}", changed(EVENTS, channel=channels)))

    assert cleaned.events_counts == Counts(4, {"channel: invalid UTF-8": 1})
    assert cleaned.lines("events") == {4: "channel: invalid UTF-8"}
    (line,) = read_rejects(cleaned.rejects.rejects, "events")
    assert "w\N{REPLACEMENT CHARACTER}b" in str(line["row"]["channel"])


@pytest.mark.parametrize("suffix", ["csv", "parquet", "tfrecord"])
def test_nan_and_infinity_are_rejected(bench: Bench, suffix: str) -> None:
    paid = [float("nan"), float("inf"), float("-inf"), 1.0]

    cleaned = bench.clean(bench.file(f"a.{suffix}", changed(EVENTS, paid=paid)))

    first = 2 if suffix == "csv" else 1
    assert cleaned.events_counts == Counts(4, {"paid: not finite": 3})
    assert cleaned.lines("events") == dict.fromkeys(range(first, first + 3), "paid: not finite")


def test_nan_is_no_id(bench: Bench) -> None:
    sku = [float("nan"), 1.0, 2.0, float("inf")]
    items = bench.file("items.parquet", changed(ITEMS, sku=[1, 2]))

    cleaned = bench.clean(bench.file("a.parquet", changed(EVENTS, sku=sku)), items)

    assert cleaned.events_counts == Counts(4, {"missing item": 1, "item: not finite": 1})
    assert [row[ITEM_ROW] for row in cleaned.events] == [0, 1]


@pytest.mark.parametrize(("length", "kept"), [(1024, 4), (1025, 3)])
def test_id_of_more_than_a_kilobyte_is_rejected(bench: Bench, length: int, kept: int) -> None:
    shopper = ["ann", "ann", "bob", "x" * length]

    cleaned = bench.clean(bench.file("a.csv", changed(EVENTS, shopper=shopper)))

    assert cleaned.events_counts.kept == kept
    assert cleaned.lines("events") == (
        {} if kept == 4 else {5: "user: longer than 1,024 bytes"}
    )  # fmt: skip


def test_types_may_be_mixed_in_a_column(bench: Bench) -> None:
    lines = [
        '{"shopper": 7, "sku": "apple", "at": 1600000000, "channel": true, "paid": "1.5"}',
        '{"shopper": "7", "sku": "apple", "at": "1600000001", "channel": "x", "paid": 2}',
        '{"shopper": 7.0, "sku": "apple", "at": "2020-09-13T12:26:42Z", "channel": 1}',
        '{"shopper": {"id": 7}, "sku": "apple", "at": 1600000003, "channel": null}',
        '{"shopper": [7, 8], "sku": "apple", "at": 1600000004}',
        '{"shopper": "7", "sku": "apple", "at": 1600000005, "paid": "a lot"}',
        "not json",
        "[1, 2]",
    ]

    cleaned = bench.clean(bench.file("a.jsonl", "\n".join(lines)))

    assert [(row[USER], row[TIME]) for row in cleaned.events] == [
        ("7", 1_600_000_000), ("7", 1_600_000_001), ("7", 1_600_000_002)
    ]  # fmt: skip
    assert [row["channel"] for row in cleaned.events] == ["true", "x", "1"]
    assert cleaned.events_counts.read == 8
    assert cleaned.lines("events") == {
        4: "nested value",
        5: "user: more than one value",
        6: "paid: not a number",
        7: "not valid JSON",
        8: "not a JSON object",
    }


def test_repeated_ids_of_the_catalogue_are_rejected(bench: Bench) -> None:
    items = {"sku": ["apple", "bread", "apple"], "aisle": ["fruit", "x", "pome"], "price": [1] * 3}

    cleaned = bench.clean(bench.file("a.csv", EVENTS), bench.file("items.csv", items))

    assert cleaned.items_counts == Counts(3, {"repeated item id": 1})
    assert cleaned.lines("items") == {4: "repeated item id"}
    assert [row["aisle"] for row in cleaned.items] == ["fruit", "x"]


def test_rows_of_another_width_and_open_quotes_cost_no_other_row(bench: Bench) -> None:
    content = (
        "shopper,sku,at,channel,paid\n"
        'ann,apple,1600000000,"two\nlines",1\n'
        "ann,apple,1600000001,web\n"
        "ann,apple,1600000002,web,1,2\n"
        "\n"
        "ann,apple,1600000003,web,1\n"
        'ann,apple,1600000004,"open,1\n'
        "ann,apple,1600000005,web,1\n"
    )

    cleaned = bench.clean(bench.file("a.csv", content))

    assert [row[TIME] - 1_600_000_000 for row in cleaned.events] == [0, 3, 5]
    assert cleaned.events_counts.read == 6
    lines = cleaned.lines("events")
    assert sorted(lines) == [4, 5, 8]
    assert lines[4] == lines[5] == "wrong number of columns"


def test_columns_that_are_all_null_are_no_ids(bench: Bench) -> None:
    cleaned = bench.clean(bench.file("a.parquet", changed(EVENTS, shopper=pa.nulls(4))))

    assert cleaned.events == []
    assert cleaned.events_counts == Counts(4, {"missing user": 4})


def test_more_rejected_rows_than_allowed_fail_with_counts_and_examples(bench: Bench) -> None:
    shopper = [None, None, "bob", "bob"]
    sku = ["apple", "apple", "kiwi", "bread"]

    message = bench.refusal(
        bench.file("a.csv", changed(EVENTS, shopper=shopper, sku=sku)), max_reject_share=0.5
    )

    assert message.startswith(
        "data.events: 3 of 4 rows rejected, more than data.max_reject_share 0.5: "
    )
    assert "2 x missing user" in message
    assert "1 x item not in the catalogue" in message
    assert message.count('"reason": ') == 3


def test_no_more_rejected_rows_than_allowed_are_no_failure_of_theirs(bench: Bench) -> None:
    shopper = [None, None, "bob", "bob"]

    message = bench.refusal(
        bench.file("a.csv", changed(EVENTS, shopper=shopper)),
        max_reject_share=0.5,
        split={"kind": "time", "validation": "1d", "test": "1d"},
    )

    assert message.startswith("data.split: validation and test take all ")
