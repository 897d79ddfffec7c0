from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest

from tfrec.data.guess import guess

NUMBERS, STRINGS = pa.list_(pa.float32()), pa.list_(pa.string())


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, None, 3]), pa.array([1.0, None, 3.0])),
        (pa.array([1.5, float("nan"), float("inf")]), pa.array([1.5, None, None])),
        (pa.array(["1", " 2.5 ", None, "", "-3e2"]), pa.array([1.0, 2.5, None, None, -300.0])),
        (pa.array(["01234", "90210"]), pa.array(["01234", "90210"])),
        (pa.array(["0", "1"]), pa.array([0.0, 1.0])),
        (pa.array(["1", "two"]), pa.array(["1", "two"])),
        (pa.array([True, False]), pa.array(["true", "false"])),
        (pa.array(["a", "b", "a"]).dictionary_encode(), pa.array(["a", "b", "a"])),
        (pa.array([[1.5, 2.5], [0.5, 1.0]]), pa.array([[1.5, 2.5], [0.5, 1.0]], NUMBERS)),
        (pa.array([[1, 2], [3, 4]]), pa.array([["1", "2"], ["3", "4"]], STRINGS)),
        (pa.array([["a"], ["b", "c"]]), pa.array([["a"], ["b", "c"]], STRINGS)),
        (pa.array([[b"a"], [], None]), pa.array(["a", None, None])),
        (pa.array([[7], [8]]), pa.array([7.0, 8.0])),
        (pa.array([None, None], pa.null()), pa.array([None, None], pa.string())),
    ],
)
def test_column_becomes_what_it_holds(column: pa.Array, expected: pa.Array) -> None:
    found = guess(column)

    assert found.values is not None
    assert found.values.type == expected.type
    assert found.values.to_pylist() == expected.to_pylist()
    assert found.separator is None


@pytest.mark.parametrize(
    ("text", "separator"),
    [("{} 2 3 4", " "), ("{}|2|3|4", "|"), ("{};2;3;4", ";"), ("{},2,3,4", ",")],
)
def test_text_of_equally_many_numbers_is_a_vector(text: str, separator: str) -> None:
    found = guess(pa.array([text.format("0.5"), None, text.format("-1")]))

    assert found.values.type == NUMBERS
    assert found.values.to_pylist() == [[0.5, 2, 3, 4], None, [-1, 2, 3, 4]]
    assert found.separator == separator


def test_text_that_splits_into_values_that_recur_is_a_list() -> None:
    genres = [
        "drama|war",
        "war|comedy",
        "comedy|drama",
        "drama",
        "war",
        "comedy",
        "war|drama",
        None,
    ]

    found = guess(pa.array(genres))

    assert found.values.to_pylist() == [g.split("|") if g else None for g in genres]
    assert found.separator == "|"


def test_text_with_commas_that_splits_into_new_values_stays_text() -> None:
    found = guess(pa.array(["Matrix, The", "Piano, The", "Alien"]))

    assert (found.values.type, found.separator) == (pa.string(), None)


@pytest.mark.parametrize(
    "column",
    [pa.array([datetime(2020, 1, 1)]), pa.array(["2020-01-01", "2021-06-30", None])],
)
def test_moments_are_no_feature(column: pa.Array) -> None:
    assert guess(column) == (None, None, "a moment")


@pytest.mark.parametrize("value", [{"a": 1}, [{"a": 1}], [[1]]])
def test_nested_values_are_no_feature(value: Any) -> None:
    found = guess(pa.array([value]))

    assert found.values is None
    assert "of which no feature can be made" in found.reason
