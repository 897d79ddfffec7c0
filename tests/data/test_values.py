import math
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from tfrec.data.values import to_floats, to_lists, to_strings, to_vectors

NAN, INFINITY = math.nan, math.inf


def plain(result: tuple[pa.Array, dict[str, pa.Array]]) -> tuple[list, dict[str, list[int]]]:
    """Values, and for each fault the rows that have it."""
    values, faults = result
    for mask in faults.values():
        assert mask.type == pa.bool_()
        assert mask.null_count == 0
        assert len(mask) == len(values)
    rows = {reason: np.flatnonzero(mask).tolist() for reason, mask in faults.items()}
    return values.to_pylist(), rows


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["a", "", None]), ["a", None, None]),
        (pa.array(["ö"], pa.large_string()), ["ö"]),
        (pa.array([b"a", None], pa.large_binary()), ["a", None]),
        (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
        (pa.array([7, -(2**63), None]), ["7", str(-(2**63)), None]),
        (pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)]),
        (pa.array([123.0, -0.0, 0.1, 2.0**60, NAN]), ["123", "0", "0.1", str(2**60), None]),
        (pa.array([0.1], pa.float32()), ["0.1"]),
        (pa.array([np.float16(1.5), None]), ["1.5", None]),
        (pa.array([Decimal("12.00"), Decimal("3.00")]), ["12", "3"]),
        (pa.array([Decimal("12.50"), None]), ["12.50", None]),
        (pa.array([Decimal(10**30)], pa.decimal128(38, 0)), [str(10**30)]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array([date(2020, 1, 2)]), ["2020-01-02"]),
        (pa.array([datetime(2020, 1, 2, 3, 4, 5)]), ["2020-01-02 03:04:05"]),
        (pa.array([["a"], [], None]), ["a", None, None]),
        (pa.array([[b"a"]], pa.large_list(pa.large_binary())), ["a"]),
        (pa.array([["a"], None], pa.list_(pa.string(), 1)), ["a", None]),
        (pa.nulls(1), [None]),
        (pa.array([], pa.string()), []),
    ],
)
def test_ids_of_any_type_become_strings(column: pa.Array, expected: list) -> None:
    values, faults = to_strings(column)

    assert values.type == pa.string()
    assert plain((values, faults)) == (expected, {})


def test_same_id_is_the_same_string_whatever_its_type() -> None:
    columns = [pa.array([42]), pa.array([42.0]), pa.array(["42"]), pa.array([Decimal("42.0")])]

    assert {to_strings(column)[0][0].as_py() for column in columns} == {"42"}


def test_strings_that_cannot_be_are_null_and_a_fault() -> None:
    column = pa.array([b"ok", b"\xff", None, b"x" * 1_025, "ö".encode() * 512])

    assert plain(to_strings(column)) == (
        ["ok", None, None, None, "ö" * 512],
        {"invalid UTF-8": [1], "longer than 1,024 bytes": [3]},
    )


def test_strings_of_a_file_that_are_not_utf8_are_a_fault() -> None:
    buffers = pa.array([b"a", b"\xff"]).buffers()
    column = pa.Array.from_buffers(pa.string(), 2, buffers)

    assert plain(to_strings(column)) == (["a", None], {"invalid UTF-8": [1]})


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (pa.array([["a", "b"], ["c"]]), "more than one value"),
        (pa.array([{"a": 1}, None]), "not a plain value"),
        (pa.array([INFINITY, NAN]), "not finite"),
    ],
)
def test_values_that_are_no_id_are_a_fault(column: pa.Array, reason: str) -> None:
    assert plain(to_strings(column))[1] == {reason: [0]}


def test_numbers_and_text_become_floats() -> None:
    text = pa.array([" 1.5 ", "1e3", "+2", ".5", "", None, "-0"])

    values, faults = to_floats(text)

    assert values.type == pa.float32()
    assert plain((values, faults)) == ([1.5, 1000, 2, 0.5, None, None, 0], {})
    for column in (pa.array([3]), pa.array([3.0]), pa.array([Decimal(3)]), pa.array([[b"3"]])):
        assert plain(to_floats(column)) == ([3], {})


def test_floats_that_cannot_be_are_null_and_a_fault() -> None:
    text = pa.array(["1", "x", "nan", "-Infinity", "1e99", "0x1", "1_0", "1,5", None])

    assert plain(to_floats(text)) == (
        [1] + [None] * 8,
        {"not a number": [1, 5, 6, 7], "not finite": [2, 3, 4]},
    )
    assert plain(to_floats(pa.array([1.0, NAN, INFINITY, 1e99, None]))) == (
        [1, None, None, None, None],
        {"not finite": [1, 2, 3]},
    )


@pytest.mark.parametrize("column", [pa.array([date(2020, 1, 1), None]), pa.array([{"a": 1}, None])])
def test_values_of_no_number_are_a_fault(column: pa.Array) -> None:
    assert plain(to_floats(column)) == ([None, None], {"not a number": [0]})


def test_text_is_cut_into_lists() -> None:
    column = pa.array(["Action|Comedy", " a | |b", "", None, "one"])

    values, faults = to_lists(column, "|")

    assert values.type == pa.list_(pa.string())
    assert plain((values, faults)) == (
        [["Action", "Comedy"], ["a", "b"], None, None, ["one"]],
        {},
    )
    assert plain(to_lists(column.dictionary_encode(), "|"))[0] == values.to_pylist()


def test_values_become_lists_of_one_and_lists_stay() -> None:
    assert plain(to_lists(pa.array(["a|b", None, ""]), None)) == ([["a|b"], None, None], {})
    assert plain(to_lists(pa.array([3, None]), "|")) == ([["3"], None], {})
    lists = pa.array([["unused"], ["a", None, ""], [], None, ["b"]]).slice(1)
    assert plain(to_lists(lists, "|")) == ([["a"], [], None, ["b"]], {})
    numbers = pa.array([[1.0, 2.5]], pa.large_list(pa.float64()))
    assert plain(to_lists(numbers, None)) == ([["1", "2.5"]], {})


def test_fault_of_a_member_is_a_fault_of_its_row() -> None:
    column = pa.array(["a|" + "x" * 1_025, "b", "c|d"])

    assert plain(to_lists(column, "|")) == (
        [["a"], ["b"], ["c", "d"]],
        {"longer than 1,024 bytes": [0]},
    )


def test_long_text_of_short_members_is_no_fault() -> None:
    assert plain(to_lists(pa.array(["|".join(["x"] * 2_000)]), "|")) == ([["x"] * 2_000], {})


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1.0, 2.0], None]),
        pa.array([[1, 2], None], pa.list_(pa.int16(), 2)),
        pa.array(["1, 2", ""]),
        pa.array([[b"1", b"2"], None], pa.large_list(pa.large_binary())),
    ],
)
def test_vectors_are_lists_of_floats(column: pa.Array) -> None:
    values, faults = to_vectors(column, 2, ",")

    assert values.type == pa.list_(pa.float32())
    assert plain((values, faults)) == ([[1, 2], None], {})


def test_vectors_that_cannot_be_are_null_and_a_fault() -> None:
    column = pa.array([[1.0], [1.0, 2.0], [1.0, None], [NAN, 1.0], [], [3.0, 4.0]])

    assert plain(to_vectors(column, 2, None)) == (
        [None, [1, 2], None, None, None, [3, 4]],
        {"not of 2 values": [0, 4], "missing value in a vector": [2], "not finite": [3]},
    )
    assert plain(to_vectors(pa.array(["1 x", "1 2"]), 2, " ")) == (
        [None, [1, 2]],
        {"not a number": [0]},
    )
