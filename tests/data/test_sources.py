import csv
import gzip
import io
import logging
import random
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import apache_beam as beam
import google_crc32c
import pyarrow as pa
import pyarrow.parquet
import pytest
from apache_beam.testing.util import assert_that, equal_to

from tfrec.data.formats import delimited, parquet, stream
from tfrec.data.sources import (
    BAD_ROWS,
    BATCH_ROWS,
    FILE,
    LINE,
    UNREADABLE,
    BadRow,
    ReadFiles,
    UnreadableFile,
    column_types,
    find_files,
    read_rows,
)
from tfrec.errors import UserError

Write = Callable[[str, bytes], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file and returns its path."""

    def write_file(name: str, content: bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return str(path)

    return write_file


def read(file: str, *columns: str) -> tuple[dict[int, tuple], dict[int, tuple[str, str]]]:
    """Reads a file: the rows by their line, and reason and text of the bad ones by theirs."""
    rows, bad = {}, {}
    for found in read_rows(file, columns):
        if isinstance(found, BadRow):
            assert found.file == file
            assert found.line not in bad
            bad[found.line] = (found.reason, found.text)
        else:
            assert found.schema.names == [*columns, LINE]
            assert 0 < found.num_rows <= BATCH_ROWS
            for row in found.to_pylist():
                line = row.pop(LINE)
                assert line not in rows
                rows[line] = tuple(row.values())
    return rows, bad


def record(content: bytes) -> bytes:
    """A TFRecord, written by the description of the format."""

    def masked(part: bytes) -> bytes:
        crc = google_crc32c.value(part)
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(content))
    return length + masked(length) + content + masked(content)


def example(**features: Sequence[bytes] | Sequence[int]) -> bytes:
    import tensorflow as tf

    def feature(values: Sequence[bytes] | Sequence[int]) -> tf.train.Feature:
        if isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    named = {name: feature(values) for name, values in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=named)).SerializeToString()


# Finding files


def test_glob_finds_its_files_sorted_and_once(write: Write, tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "c.txt"):
        write(name, b"x\n1\n")

    found = find_files("data.events.source", [str(tmp_path / "*.csv"), str(tmp_path / "a.csv")])

    assert found == [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]


@pytest.mark.parametrize("end", ["", "/"])
def test_directory_stands_for_its_data_files(write: Write, tmp_path: Path, end: str) -> None:
    kept = [write("in/a.parquet", b"1"), write("in/day=1/b.csv.gz", b"x\n1\n")]
    for name in ("_SUCCESS", ".a.csv", "_temporary/c.csv", ".hidden/d.csv", "notes.txt"):
        write(f"in/{name}", b"x\n1\n")

    assert find_files("f", f"{tmp_path}/in{end}") == kept


def test_directory_without_data_files_is_refused(write: Write, tmp_path: Path) -> None:
    write("_SUCCESS", b"")

    with pytest.raises(UserError, match=rf"data\.items\.source: '{tmp_path}': holds no data files"):
        find_files("data.items.source", str(tmp_path))


@pytest.mark.parametrize("name", ["nowhere.parquet", "*.parquet", "nowhere"])
def test_source_that_is_not_there_is_named_with_its_field(tmp_path: Path, name: str) -> None:
    source = str(tmp_path / name)

    with pytest.raises(UserError) as caught:
        find_files("data.events.source", source)

    assert str(caught.value).startswith(f"data.events.source: '{source}': no such file; give ")


def test_file_system_that_is_not_known_is_refused() -> None:
    with pytest.raises(UserError, match=r"f: 'moon://a\.csv': cannot be listed: "):
        find_files("f", "moon://a.csv")


def test_file_of_unknown_suffix_is_refused_with_the_known_ones(write: Write) -> None:
    file = write("a.xlsx", b"x")

    with pytest.raises(UserError, match=rf"f: {file}: unknown kind .* \.parquet, \.csv, \.tsv, "):
        find_files("f", file)


@pytest.mark.parametrize("source", ["dataset://groceries/sales", "dataset://complete_journey"])
def test_unknown_dataset_is_refused(source: str) -> None:
    with pytest.raises(UserError, match=r"dataset://.*: unknown; known: "):
        find_files("data.events.source", source)


def test_empty_file_among_others_is_left_out_and_said(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    files = [write("a.csv", b""), write("b.csv", b"x\n1\n")]

    with caplog.at_level(logging.WARNING):
        found = find_files("f", files)

    assert found == files[1:]
    assert files[0] in caplog.text


def test_nothing_but_empty_files_is_refused(write: Write) -> None:
    with pytest.raises(UserError, match=r"f: .*: all files are empty"):
        find_files("f", [write("a.csv", b""), write("b.csv", b"")])


# Columns


def test_columns_are_named_with_their_types(write_parquet: Callable[..., str]) -> None:
    file = write_parquet(sku=pa.array(["a"]).dictionary_encode(), count=pa.array([1], pa.int16()))

    assert column_types("f", [file]) == {"sku": pa.string(), "count": pa.int16()}


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", b"u,n\n1,2\n"), ("a.tsv", b"u\tn\n1\t2\n"), ("a.jsonl", b'{"u":1}\n{"n":2}\n')],
)
def test_columns_of_text_are_text(write: Write, name: str, content: bytes) -> None:
    assert column_types("f", [write(name, content)]) == {"u": pa.string(), "n": pa.string()}


@pytest.mark.parametrize("empty", ["header.csv", "empty.csv.gz", "empty.parquet"])
def test_file_without_rows_is_passed_over_and_said(
    write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture, empty: str
) -> None:
    file = write(empty, b"old,names\n" if empty == "header.csv" else b"")
    if empty.endswith(".parquet"):
        pa.parquet.write_table(pa.table({"old": pa.array([], pa.string())}), file)

    with caplog.at_level(logging.WARNING):
        types = column_types("f", [file, write("full.csv", b"sku\n1\n")])

    assert types == {"sku": pa.string()}
    assert f"{file}: holds no rows" in caplog.text
    assert list(read_rows(file, ["sku"])) == []


def test_nothing_but_files_without_rows_is_refused(write: Write) -> None:
    file = write("a.csv", b"sku,title\n\n\n")

    with pytest.raises(UserError, match=rf"data\.items\.source: {file}: no file holds rows"):
        column_types("data.items.source", [file])


def test_file_that_is_not_what_its_name_says_is_refused(write: Write) -> None:
    file = write("broken.parquet", b"PAR1 no table PAR1")

    with pytest.raises(UserError, match=rf"data\.items\.source: {file}: cannot be read "):
        column_types("data.items.source", [file])


def test_files_may_order_their_columns_each_in_its_way(write_parquet: Callable[..., str]) -> None:
    files = [write_parquet(a=["x"], b=[1]), write_parquet(b=[2], more=[0], a=["y"])]

    assert column_types("f", files) == {"a": pa.string(), "b": pa.int64()}


def test_file_that_lacks_a_column_of_the_first_is_refused_with_both_files_and_the_column(
    write: Write,
) -> None:
    first, lacking = write("a.csv", b"sku,title\n1,x\n"), write("b.csv", b"sku,name\n2,y\n")

    with pytest.raises(UserError) as caught:
        column_types("data.items.source", [first, lacking])

    assert str(caught.value) == (
        f"data.items.source: {lacking}: lacks title, which {first} has; give files of one header"
    )


def test_json_rows_may_lack_a_key_which_is_said(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    files = [write("a.jsonl", b'{"u":1,"coupon":"x"}\n'), write("b.jsonl", b'{"u":2}\n')]

    with caplog.at_level(logging.WARNING):
        types = column_types("f", files)

    assert list(types) == ["u", "coupon"]
    assert f"the first rows of {files[1]} lack coupon" in caplog.text


# CSV


def test_values_are_taken_as_they_are_written(write: Write) -> None:
    file = write("a.csv", b"sku,count,note\n007,012,NA\n1e3,,nan\n")

    rows, bad = read(file, "note", "sku", "count")

    assert rows == {2: ("NA", "007", "012"), 3: ("nan", "1e3", None)}
    assert bad == {}


def test_tabs_separate_the_values_of_tsv(write: Write) -> None:
    assert read(write("a.tsv.gz", b"a\tb\n1,5\t2\n"), "a", "b")[0] == {2: ("1,5", "2")}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("block_bytes", [1, stream.BLOCK_BYTES])
def test_byte_order_mark_and_ends_of_lines_are_no_part_of_values(
    write: Write, monkeypatch: pytest.MonkeyPatch, end: str, block_bytes: int
) -> None:
    monkeypatch.setattr(stream, "BLOCK_BYTES", block_bytes)
    file = write("a.csv", '\ufeffa,b\n1,"x\ny"\n\n3,ö'.replace("\n", end).encode())

    assert read(file, "a", "b") == ({2: ("1", "x\ny"), 5: ("3", "ö")}, {})


@pytest.mark.parametrize("block_bytes", [40, 700, stream.BLOCK_BYTES])
@pytest.mark.parametrize("seed", range(6))
def test_every_row_comes_out_once_with_its_line_however_the_file_is_cut(
    write: Write, monkeypatch: pytest.MonkeyPatch, seed: int, block_bytes: int
) -> None:
    content, rows, bad = _random_csv(random.Random(seed))
    monkeypatch.setattr(stream, "BLOCK_BYTES", block_bytes)

    found, rejected = read(write("a.csv.gz", content.encode()), "a", "b", "c")

    assert found == rows
    assert {line: text for line, (_, text) in rejected.items()} == bad


def _random_csv(source: random.Random) -> tuple[str, dict[int, tuple], dict[int, str]]:
    content, line = io.StringIO(newline=""), 2
    content.write("a,b,c\n")
    rows: dict[int, tuple] = {}
    bad: dict[int, str] = {}
    for _ in range(50):
        kind = source.choice(["row", "row", "row", "quotes", "narrow", "wide", "blank"])
        if kind == "row":
            values = ["".join(source.choices('aö",\n7', k=source.randrange(6))) for _ in "abc"]
            csv.writer(content, lineterminator="\n").writerow(values)
            rows[line] = tuple(value or None for value in values)
            line += sum(value.count("\n") for value in values)
        elif kind == "quotes":
            content.write('12" pan,a""b,"""\n')
            rows[line] = ('12" pan', 'a""b', '"\n')
            content.write('"\n')
            line += 1
        elif kind == "blank":
            content.write("\n")
        else:
            bad[line] = "1,2" if kind == "narrow" else "1,2,3,4"
            content.write(bad[line] + "\n")
        line += 1
    return content.getvalue(), rows, bad


def test_invalid_utf8_costs_only_the_rows_whose_wanted_values_have_it(write: Write) -> None:
    file = write("a.csv", b"a,b\nx,1\n\xff,2\nz,\xff\n\xc3,3,4\n\xc3\xb6,5\n")

    rows, bad = read(file, "a")

    assert rows == {2: ("x",), 4: ("z",), 6: ("ö",)}
    assert bad == {
        3: ("invalid UTF-8", "\ufffd,2"),
        5: ("wrong number of columns", "\ufffd,3,4"),
    }


@pytest.mark.parametrize(
    ("content", "rows", "line"),
    [
        (b'1,2\n"un,2\n5,6\n7,8\n', {2: ("1", "2"), 4: ("5", "6"), 5: ("7", "8")}, 3),
        (b'1,"abc\n2,def\n3,"g,h"\n', {3: ("2", "def"), 4: ("3", "g,h")}, 2),
    ],
)
def test_quote_that_is_never_closed_costs_its_own_line(
    write: Write, content: bytes, rows: dict, line: int
) -> None:
    found, bad = read(write("a.csv", b"a,b\n" + content), "a", "b")

    assert found == rows
    assert list(bad) == [line]


def test_open_quote_before_many_rows_costs_its_own_line_and_no_memory(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BLOCK_BYTES", 1_000)
    monkeypatch.setattr(delimited, "_LONGEST_ROW_BYTES", 2_000)
    content = b'a,b\n"open,1\n' + b"".join(b"%d,x\n" % number for number in range(3_000))
    file = write("a.csv", content)

    rows, bad = read(file, "a", "b")

    assert rows == {number + 3: (str(number), "x") for number in range(3_000)}
    assert list(bad) == [2]
    assert (
        max(
            len(found.text if isinstance(found, BadRow) else found)
            for found in read_rows(file, ["a"])
        )
        < 1_000
    )


def test_long_bad_row_is_shortened(write: Write) -> None:
    _, bad = read(write("a.csv", b"a,b\n" + b"x" * 100_000 + b"\n"), "a")

    assert bad == {2: ("wrong number of columns", "x" * 500 + "...")}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", b"a,a\n1,2\n", "has more than one column named 'a'"),
        ("a.csv", b"b,c\n1,2\n", "lacks a; its columns are b, c"),
        ("a.csv", b"a\xff\n1\n", "its header is not UTF-8 text"),
        ("a.csv", gzip.compress(b"a\n1\n", mtime=0), "is compressed by gzip; end its name in .gz"),
        ("a.csv", "a\n1\n".encode("utf-16"), "is UTF-16; save it as UTF-8"),
        ("a.json", b'[\n{"a": 1}\n]\n', "is one JSON array; write one object on each line"),
        ("a.parquet", b"PAR1", "cannot be read"),
        ("a.tfrecord", b"this is no file of records", "a checksum is wrong"),
    ],
)
def test_file_of_another_kind_is_unreadable(
    write: Write, name: str, content: bytes, reason: str
) -> None:
    file = write(name, content)

    with pytest.raises(UnreadableFile) as caught:
        list(read_rows(file, ["a"]))

    assert str(caught.value).startswith(f"{file}: cannot be read after 0 rows: ")
    assert reason in str(caught.value)


def test_truncated_gzip_is_unreadable_after_its_good_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BLOCK_BYTES", 20_000)
    source = random.Random(0)
    whole = b"a\n" + b"".join(b"%d\n" % source.getrandbits(64) for _ in range(5_000))
    file = tmp_path / "a.csv.gz"
    file.write_bytes(gzip.compress(whole, 1)[:-100])
    batches = []

    with pytest.raises(UnreadableFile, match="Compressed file ended before") as caught:
        batches.extend(read_rows(str(file), ["a"]))

    rows = sum(batch.num_rows for batch in batches)
    assert rows > 0
    assert f"{file}: cannot be read after {rows:,} rows: " in str(caught.value)


# JSON lines


def test_json_values_keep_their_types(write: Write) -> None:
    lines = b'{"u":"a","t":1,"p":0.5,"tags":["x"],"ok":true}\n{"tags":[],"day":"2020-01-01"}\n'

    (batch,) = read_rows(write("a.jsonl", lines), ["tags", "t", "p", "ok", "u", "day", "none"])

    assert batch.to_pylist() == [
        {"tags": ["x"], "t": 1, "p": 0.5, "ok": True, "u": "a", "day": None, "none": None, LINE: 1},
        {
            "tags": [], "t": None, "p": None, "ok": None, "u": None, "day": "2020-01-01",
            "none": None, LINE: 2,
        },
    ]  # fmt: skip


def test_mixed_types_of_json_come_out_as_text(write: Write) -> None:
    file = write("a.jsonl", b'{"u":1}\n\n{"u":"x"}\n{"u":2.0}\n{"u":null}\n{"u":true}\n')

    assert read(file, "u") == ({1: ("1",), 3: ("x",), 4: ("2",), 5: (None,), 6: ("true",)}, {})


def test_type_that_changes_late_in_a_file_loses_no_row(write: Write) -> None:
    file = write("a.jsonl", b'{"u":1}\n' * 1_000 + b'{"u":"x"}\n')

    rows, bad = read(file, "u")

    assert (len(rows), rows[1_001], bad) == (1_001, ("x",), {})


@pytest.mark.parametrize("other", [b"0.5", b'"x"', b"2"])
def test_large_whole_numbers_of_json_keep_every_digit(write: Write, other: bytes) -> None:
    file = write("a.jsonl", b'{"u":%s}\n' % other * 1_000 + b'{"u":18446744073709551615}\n')

    assert str(read(file, "u")[0][1_001][0]) == "18446744073709551615"


def test_line_of_two_objects_is_bad(write: Write) -> None:
    file = write("a.jsonl", b'{"u":1}\n{"u":2}{"u":3}\n{"u":4}\n')

    assert read(file, "u") == ({1: (1,), 3: (4,)}, {2: ("not valid JSON", '{"u":2}{"u":3}')})


def test_many_short_lines_of_json_keep_their_lines(write: Write) -> None:
    rows, bad = read(write("a.jsonl", b'{"u":7}\n' * 120_000), "u")

    assert rows == dict.fromkeys(range(1, 120_001), (7,))
    assert bad == {}


def test_bad_lines_of_json_are_told_apart_and_cost_no_other(write: Write) -> None:
    lines = [
        b'{"u":"a"}', b"{", b"[1]", b'{"u":{"id":1}}', b'{"u":"\\ud800"}', b'{"u":"\xff"}',
        b'{"u":"b"}', b'{"u":1}{"u":2}',
    ]  # fmt: skip

    rows, bad = read(write("a.jsonl.gz", b"\r\n".join(lines)), "u")

    assert rows == {1: ("a",), 7: ("b",)}
    assert {line: reason for line, (reason, _) in bad.items()} == {
        2: "not valid JSON", 3: "not a JSON object", 4: "nested value", 5: "invalid UTF-8",
        6: "invalid UTF-8", 8: "not valid JSON",
    }  # fmt: skip


# Parquet


def test_long_parquet_file_is_read_in_pieces_with_row_numbers(tmp_path: Path) -> None:
    rows = BATCH_ROWS + 10
    file = tmp_path / "long.parquet"
    pa.parquet.write_table(pa.table({"n": range(rows), "unused": ["x"] * rows}), file)

    found, _ = read(str(file), "n")

    assert found == {number + 1: (number,) for number in range(rows)}


def test_parquet_columns_keep_their_types_and_dictionaries_are_decoded(
    write_parquet: Callable[..., str],
) -> None:
    file = write_parquet(u=pa.array(["a", "b"]).dictionary_encode(), tags=[["x"], None], n=[1, 2])

    (batch,) = read_rows(file, ["tags", "u"])

    assert batch.schema.types == [pa.list_(pa.string()), pa.string(), pa.int64()]
    assert batch.to_pydict() == {"tags": [["x"], None], "u": ["a", "b"], LINE: [1, 2]}


def test_damaged_page_of_parquet_does_not_pass_for_the_end(
    write_parquet: Callable[..., str],
) -> None:
    file = Path(write_parquet(u=pa.array(["a", "b", "a"]).dictionary_encode(), n=[1, 2, 3]))
    content = file.read_bytes()
    file.write_bytes(content[:60] + bytes(30) + content[90:])

    with pytest.raises(UnreadableFile, match=f"{file}: cannot be read after 0 rows: should have 3"):
        list(read_rows(str(file), ["n", "u"]))


# TFRecord


@pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.gz"])
def test_examples_are_read_as_lists(write: Write, name: str) -> None:
    examples = [example(u=[b"a"], t=[1]), example(u=[b"b", b"c"]), b""]
    file = write(name, b"".join(map(record, examples)))

    assert read(file, "t", "u", "no") == (
        {1: ([1], [b"a"], None), 2: (None, [b"b", b"c"], None), 3: (None, None, None)},
        {},
    )
    assert list(column_types("f", [file])) == ["t", "u"]


def test_record_that_is_no_example_and_mixed_types_cost_no_other_row(write: Write) -> None:
    examples = [example(u=[b"a"]), b"no example", example(u=[7])]

    rows, bad = read(write("a.tfrecord", b"".join(map(record, examples))), "u")

    assert rows == {1: ([b"a"],), 3: ([b"7"],)}
    assert bad == {2: ("not a tf.train.Example", "no example")}


@pytest.mark.parametrize("damage", [lambda b: b[:-3], lambda b: b[:-6] + b"?" + b[-5:]])
def test_damaged_records_are_unreadable(write: Write, damage: Callable[[bytes], bytes]) -> None:
    file = write("a.tfrecord", damage(record(example(u=[b"a"])) * 2))

    with pytest.raises(UnreadableFile, match=r"ends within a record|a checksum is wrong"):
        list(read_rows(file, ["u"]))


# On workers


def test_files_are_read_by_workers_with_their_bad_rows_and_unreadable_ones(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_PIECE_ROWS", 20)
    table = str(tmp_path / "a.parquet")
    pa.parquet.write_table(pa.table({"n": map(str, range(50))}), table, row_group_size=10)
    text, lacking = write("b.csv", b"n\nx\n1,2\n"), write("c.csv", b"m\n1\n")

    with beam.Pipeline() as pipeline:
        read = pipeline | beam.Create([table, text, lacking]) | ReadFiles(["n"])
        rows = read[None] | beam.FlatMap(
            lambda batch: [(row[FILE], row[LINE], row["n"]) for row in batch.to_pylist()]
        )
        expected = [(table, number + 1, str(number)) for number in range(50)] + [(text, 2, "x")]
        bad = BadRow(text, 3, "wrong number of columns", "1,2")
        assert_that(rows, equal_to(expected), label="rows")
        assert_that(read[BAD_ROWS], equal_to([bad]), label="bad")
        assert_that(
            read[UNREADABLE] | beam.Map(lambda message: message.split(";")[0]),
            equal_to([f"{lacking}: cannot be read after 0 rows: lacks n"]),
            label="unreadable",
        )


def test_large_parquet_file_is_divided_by_its_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_PIECE_ROWS", 20)
    file = str(tmp_path / "a.parquet")
    pa.parquet.write_table(pa.table({"n": range(45)}), file, row_group_size=10)

    assert list(parquet.pieces(file)) == [
        parquet.Piece((0, 1), 1), parquet.Piece((2, 3), 21), parquet.Piece((4,), 41)
    ]  # fmt: skip
