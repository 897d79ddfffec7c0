from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tfrec.config import validate
from tfrec.features import FeatureSpec
from tfrec.features.check import Finding, check_columns

CATEGORY = {"role": "item", "kind": "categorical", "embedding": 4}
SEVERAL = {**CATEGORY, "kind": "multi_categorical"}
NUMBER = {"role": "item", "kind": "numeric"}


def finding(
    feature: dict[str, Any], column: pa.Array, rejected: dict[str, int] | None = None
) -> Finding:
    spec = validate(
        FeatureSpec, {"other": CATEGORY, "shopper": CATEGORY | {"role": "user"}, "x": feature}
    )
    return check_columns(spec, {"x": column}, {"x": rejected or {}}, 0.1)["x"]


def strings(count: int, distinct: int) -> pa.Array:
    return pa.array([f"v{number % distinct}" for number in range(count)])


NUMBERS = pa.array(np.arange(20), pa.float32())
VECTORS = pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32()))


@pytest.mark.parametrize(
    ("feature", "column"),
    [
        (CATEGORY, strings(20, 5)),
        ({**CATEGORY, "lookup": "hash", "rows": 5}, strings(20, 5)),
        ({**CATEGORY, "lookup": "identity", "rows": 3}, pa.array(["0", "1", "2", None])),
        ({**CATEGORY, "lookup": "dynamic", "rows": 5}, strings(20, 5)),
        ({"role": "item", "kind": "categorical", "share": "other"}, strings(20, 5)),
        (SEVERAL, pa.array([["a", "b"], ["a"]])),
        ({**NUMBER, "min": 0}, NUMBERS),
        ({**CATEGORY, "kind": "text", "rows": 50}, pa.array(["Red shoe", "red hat"])),
        ({"role": "item", "kind": "vector", "dim": 2}, VECTORS),
        ({"role": "time", "kind": "numeric"}, pa.array([5, 6], pa.int64())),
        ({**CATEGORY, "role": "context"}, strings(40, 7)),
    ],
)  # fmt: skip
def test_column_that_fits_its_feature_gives_neither_warning_nor_error(
    feature: dict[str, Any], column: pa.Array
) -> None:
    found = finding(feature, column)

    assert (found.warnings, found.errors) == ([], [])
    assert found.facts.rows == len(column)


@pytest.mark.parametrize(
    ("feature", "column", "warning"),
    [
        (CATEGORY, strings(9, 1), "a single value, which teaches nothing; leave it out"),
        (NUMBER, pa.array([1, 2, None, None, None], pa.float32()), "60% missing"),
        (
            {**CATEGORY, "lookup": "hash", "rows": 4},
            strings(20, 5),
            "5 values share 4 rows; give more rows",
        ),
        (
            {**CATEGORY, "rows": 4},
            strings(20, 5),
            "5 values compete for 4 rows; give more rows",
        ),
        (
            {**CATEGORY, "lookup": "dynamic", "rows": 4},
            strings(20, 5),
            "5 values compete for 4 rows; give more rows",
        ),
        (
            {**CATEGORY, "lookup": "identity", "rows": 3},
            pa.array(["0", "3", "-1", "two", "9" * 20, "007", None]),
            "5 of 6 values are no whole numbers below 3, and unknown; "
            "give more rows, or another lookup",
        ),
        (
            {**CATEGORY, "role": "context"},
            strings(20, 15),
            "most rows have a value of their own, as an id's; leave it out",
        ),
        (
            SEVERAL,
            pa.array([["a|b"], ["a"]]),
            "one value in each row; give the separator that splits them, or kind: categorical",
        ),
        (
            {**CATEGORY, "kind": "text", "rows": 2},
            pa.array(["Red shoe", "red hat"]),
            "3 words share 2 rows; give more rows",
        ),
        (
            {**NUMBER, "transform": "bucketise", "buckets": 30, "embedding": 2},
            NUMBERS,
            "30 buckets for 20 values; give fewer buckets",
        ),
    ],
)
def test_what_may_be_meant_otherwise_is_a_warning_with_its_remedy(
    feature: dict[str, Any], column: pa.Array, warning: str
) -> None:
    found = finding(feature, column)

    assert found.warnings == [warning]
    assert found.errors == []


def test_break_of_the_schema_that_nothing_else_explains_is_a_warning() -> None:
    unexplained = finding({**NUMBER, "min": 5}, NUMBERS)
    explained = finding({**NUMBER, "min": 5}, NUMBERS, rejected={"less than 5": 1})

    assert len(unexplained.warnings) == 1
    assert unexplained.warnings[0].startswith("schema: ")
    assert explained.warnings == []


def test_column_without_a_value_is_an_error() -> None:
    found = finding(CATEGORY, pa.array([None] * 3, pa.string()))

    assert found.errors == ["no value in 3 rows; leave it out, or name another column"]


def test_more_rejected_rows_than_preparation_takes_are_an_error() -> None:
    found = finding(NUMBER, NUMBERS, rejected={"no number": 3, "less than 0": 2})

    assert found.rejected == {"no number": 3, "less than 0": 2}
    assert found.errors == [
        "3 of 20 rows rejected: no number; mend the data or the feature, "
        "or raise data.max_reject_share above 0.1"
    ]
