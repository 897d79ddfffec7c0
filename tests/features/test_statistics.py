import math
import statistics

import pyarrow as pa
import pytest

from tfrec.features.statistics import Facts, compute_statistics, describe

PRICES = [1.0, None, 4.0, 4.0, 11.0]
COLUMNS = {
    "price": pa.array(PRICES, pa.float32()),
    "brand": pa.array(["acme", "b c", None, "acme", "d"]),
    "tags": pa.array([["x", "y"], [], None, ["x"], ["z"]], pa.list_(pa.string())),
    "image": pa.array([[1.0, 2.0]] * 4 + [None], pa.list_(pa.float32())),
    "nothing": pa.array([None] * 5, pa.string()),
    "at": pa.array([10, 11, 12, 13, 14], pa.int64()),
}


@pytest.fixture(scope="module")
def facts() -> dict[str, Facts]:
    return describe(COLUMNS, compute_statistics(COLUMNS))


def test_numbers_are_measured_without_the_missing_ones(facts: dict[str, Facts]) -> None:
    price = facts["price"]
    present = [number for number in PRICES if number is not None]

    assert (price.rows, price.missing, price.values, price.distinct) == (5, 0.2, 4, 3)
    assert (price.least, price.most) == (1, 11)
    assert price.mean == pytest.approx(statistics.mean(present))
    assert price.deviation == pytest.approx(statistics.pstdev(present))
    assert math.isnan(price.words)


def test_strings_are_counted_with_those_seen_once_and_their_words(facts: dict[str, Facts]) -> None:
    brand = facts["brand"]

    assert (brand.missing, brand.distinct, brand.once) == (0.2, 3, 2 / 4)
    assert brand.words == 5 / 4
    assert math.isnan(brand.mean)


def test_lists_are_counted_by_value_and_measured_by_length(facts: dict[str, Facts]) -> None:
    tags, image = facts["tags"], facts["image"]

    assert (tags.values, tags.distinct, tags.once) == (4, 3, 2 / 4)
    assert (tags.longest, tags.missing) == (2, 2 / 5)
    assert (image.longest, image.missing) == (2, 1 / 5)


def test_column_without_values_is_all_missing(facts: dict[str, Facts]) -> None:
    nothing = facts["nothing"]

    assert (nothing.missing, nothing.values, nothing.distinct, nothing.once) == (1, 0, 0, 0)


def test_moments_are_numbers(facts: dict[str, Facts]) -> None:
    assert (facts["at"].least, facts["at"].most, facts["at"].missing) == (10, 14, 0)
