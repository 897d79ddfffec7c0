import math
from typing import Any

import pyarrow as pa
import pytest
import yaml

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.infer import (
    Proposal,
    embedding_size,
    names_id,
    propose,
    propose_id,
    write_section,
)
from tfrec.features.statistics import compute_statistics, describe


def proposal(values: list[Any], kind: pa.DataType, name: str = "thing", **options: Any) -> Proposal:
    column = pa.array(values, kind)
    facts = describe({name: column}, compute_statistics({name: column}))[name]
    return propose(name, options.pop("role", "item"), column, facts, **options)


STRING, NUMBER = pa.string(), pa.float64()


@pytest.mark.parametrize(
    ("values", "floats"), [(1, 8), (2, 8), (7, 8), (32, 16), (2469, 44), (92_331, 64), (10**9, 64)]
)
def test_embedding_grows_with_the_fourth_root_of_the_values(values: int, floats: int) -> None:
    assert embedding_size(values) == floats
    assert abs(floats - 6 * values**0.25) <= 2 or floats == 64


def test_strings_that_recur_are_categories() -> None:
    assert proposal(["a", "b", "a", None], STRING) == Proposal(
        {"role": "item", "kind": "categorical", "embedding": 8}, "2 values, 25.0% missing"
    )


def test_strings_of_several_words_that_seldom_recur_are_text() -> None:
    titles = [f"Red shoe number {number}" for number in range(600)]

    made = proposal(titles, STRING)

    assert made.content is not None
    words = 3 + 600
    assert made.content["kind"] == "text"
    assert made.content["rows"] == 2 ** math.ceil(math.log2(4 * words))


def test_several_words_that_recur_stay_categories() -> None:
    made = proposal(["frozen meat dinners", "soft drinks cans"] * 5, STRING)

    assert made.content is not None
    assert made.content["kind"] == "categorical"


@pytest.mark.parametrize(
    ("values", "kind", "reason"),
    [
        (["a"] * 5, STRING, "a single value"),
        ([3.0, None, 3.0], NUMBER, "a single value"),
        ([None] * 5, STRING, "no value at all"),
        (["x1", "x2", "x3"], STRING, "every value is another one, as an id's"),
    ],
)
def test_column_that_teaches_nothing_is_left_out(
    values: list[Any], kind: pa.DataType, reason: str
) -> None:
    assert proposal(values, kind) == Proposal(None, reason)


@pytest.mark.parametrize(
    ("values", "is_skewed"),
    [
        ([0.5] * 9 + [8.5], True),  # mean 1.3, deviation 2.4
        ([0.5, 8.5] * 5, False),  # mean 4.5, deviation 4
        ([-0.5] * 9 + [8.5], False),  # mean 0.4, deviation 2.7
    ],
)
def test_number_is_standardised_unless_it_is_skewed(values: list[float], is_skewed: bool) -> None:
    made = proposal(values, NUMBER)

    log = {"transform": "log", "min": 0} if is_skewed else {}
    assert made.content == {"role": "item", "kind": "numeric", **log}
    assert made.reason.startswith("skewed: deviation ") is is_skewed


def test_whole_numbers_are_categories_where_they_are_few_or_named_as_ids() -> None:
    few, many = [36.0, 37.0, 38.0] * 9, [float(number) for number in range(51)]

    kinds = [
        (made := proposal(values, NUMBER, name).content) and made["kind"]
        for values, name in [(few, "size"), (many, "grams"), (many, "maker_id")]
    ]

    assert kinds == ["categorical", "numeric", "categorical"]


def test_numbers_with_fractions_are_never_categories() -> None:
    made = proposal([0.5, 1.5] * 9, NUMBER, "store_id")

    assert made.content == {"role": "item", "kind": "numeric"}


@pytest.mark.parametrize("name", ["id", "store_id", "storeId", "storeID"])
def test_name_of_an_id_is_known(name: str) -> None:
    assert names_id(name)


@pytest.mark.parametrize("name", ["paid", "grid", "idle", "identity", "ID_name"])
def test_name_that_only_looks_like_an_id_is_not(name: str) -> None:
    assert not names_id(name)


def test_lists_are_vectors_of_numbers_or_several_categories() -> None:
    numbers = pa.list_(pa.float32())
    vector = proposal([[1.0, 2.0], [3.0, 4.0]], numbers, separator=" ")
    several = proposal([["a", "b"], ["a"]], pa.list_(STRING), separator="|")

    assert vector.content == {"role": "item", "kind": "vector", "dim": 2, "separator": " "}
    assert several.content == {
        "role": "item", "kind": "multi_categorical", "embedding": 8, "separator": "|"
    }  # fmt: skip


def test_label_and_weight_are_numbers_as_they_are() -> None:
    assert proposal([0.0, 1.0], NUMBER, role="label").content == {
        "role": "label",
        "kind": "numeric",
    }


def test_more_values_than_a_vocabulary_should_hold_are_hashed() -> None:
    assert propose_id("user", 5_000_000).content == {
        "role": "user", "kind": "categorical", "embedding": 64, "lookup": "hash", "rows": 2**23
    }  # fmt: skip


CATEGORY = {"kind": "categorical", "embedding": 8}


def test_section_is_yaml_that_says_why_and_what_was_left_out() -> None:
    proposals = {
        "shopper: id": Proposal({"role": "user", **CATEGORY}, "9 values"),
        "größe": Proposal({"role": "item", **CATEGORY}, "3 values"),
        "note": Proposal(None, "a single value"),
    }

    section = write_section(proposals, ["from 10 rows"])

    assert section.splitlines() == [
        "# from 10 rows",
        "features:",
        "  'shopper: id': {role: user, kind: categorical, embedding: 8}  # 9 values",
        "  größe: {role: item, kind: categorical, embedding: 8}  # 3 values",
        "  # note: left out: a single value",
    ]
    spec = validate(FeatureSpec, yaml.safe_load(section)["features"])
    assert list(spec.root) == ["shopper: id", "größe"]


def test_section_that_is_no_spec_is_not_written() -> None:
    with pytest.raises(UserError, match="no feature has the role item"):
        write_section({"shopper": Proposal({"role": "user", **CATEGORY}, "")}, [])
