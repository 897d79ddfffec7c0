from typing import Any

import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from tfrec.data.casting import cast_feature, raw_type
from tfrec.features import Feature

CATEGORY = {"role": "item", "kind": "categorical", "embedding": 2}
SEVERAL = {"role": "item", "kind": "multi_categorical", "embedding": 2, "separator": "|"}
NUMBER = {"role": "item", "kind": "numeric"}
TEXT = {"role": "item", "kind": "text", "embedding": 2, "rows": 8}
VECTOR = {"role": "item", "kind": "vector", "dim": 2, "separator": " "}
MOMENT = {"role": "time", "kind": "numeric"}


def cast(
    content: dict[str, Any], values: list, unit: str = "s", form: str | None = None
) -> tuple[list, dict[str, list[bool]]]:
    feature = TypeAdapter(Feature).validate_python(content)
    column, faults = cast_feature("f", feature, pa.array(values), unit, form)
    assert column.type == raw_type(feature)
    return column.to_pylist(), {reason: mask.to_pylist() for reason, mask in faults.items()}


@pytest.mark.parametrize(
    ("content", "values", "expected"),
    [
        (CATEGORY, ["a", "", None], ["a", None, None]),
        (CATEGORY, [1.0, 2.5, None], ["1", "2.5", None]),
        (SEVERAL, ["a|b", "a", "", None], [["a", "b"], ["a"], None, None]),
        (SEVERAL, [["a", None], [], None], [["a"], [], None]),
        (NUMBER, ["1.5", " 2 ", "", None], [1.5, 2.0, None, None]),
        (NUMBER, [1, 2, None], [1.0, 2.0, None]),
        (TEXT, ["red shoes", None], ["red shoes", None]),
        (VECTOR, ["1 2", "-0.5 0", None], [[1.0, 2.0], [-0.5, 0.0], None]),
        (VECTOR, [[1, 2], None], [[1.0, 2.0], None]),
        (MOMENT, [100, 200], [100, 200]),
    ],
)
def test_each_kind_has_its_type(content: dict, values: list, expected: list) -> None:
    assert cast(content, values) == (expected, {} if content is not MOMENT else {
        "f: missing": [False, False]
    })  # fmt: skip


@pytest.mark.parametrize(
    ("content", "values", "reason"),
    [
        (CATEGORY, ["a", "x" * 1025], "f: longer than 1,024 bytes"),
        (NUMBER, ["1", "one"], "f: not a number"),
        (NUMBER, [1.0, float("inf")], "f: not finite"),
        ({**NUMBER, "min": 0}, [0, -1], "f: less than 0"),
        ({**NUMBER, "max": 2.5}, [2.5, 3], "f: more than 2.5"),
        (VECTOR, ["1 2", "1"], "f: not of 2 values"),
        (VECTOR, ["1 2", "1 x"], "f: not a number"),
        ({**NUMBER, "role": "label"}, [1, None], "f: missing"),
        ({**NUMBER, "role": "weight"}, [1, None], "f: missing"),
        (MOMENT, [1, None], "f: missing"),
        (MOMENT, ["2020-01-01", "yesterday"], "f: no time that can be read"),
    ],
)
def test_value_that_cannot_be_right_is_a_fault_of_its_row(
    content: dict, values: list, reason: str
) -> None:
    _, faults = cast(content, values)

    good, bad = ([name for name, mask in faults.items() if mask[row]] for row in (0, 1))
    assert good == []
    assert bad[0] == reason


def test_number_that_is_missing_is_neither_too_small_nor_too_large() -> None:
    _, faults = cast({**NUMBER, "min": 0, "max": 1}, [None, 0.5])

    assert not any(any(mask) for mask in faults.values())


def test_moments_have_the_unit_and_format_of_their_source() -> None:
    assert cast(MOMENT, [1_600_000_000_000], unit="ms")[0] == [1_600_000_000]
    assert cast(MOMENT, [20200102], form="%Y%m%d")[0] == [1_577_923_200]


def test_label_of_empty_text_is_missing() -> None:
    _, faults = cast({**NUMBER, "role": "label"}, ["1", ""])

    assert faults == {"f: missing": [False, True]}
