from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from tfrec.errors import UserError
from tfrec.retrieval.brute_force import BruteForce
from tfrec.retrieval.filters import ItemFilter, with_new
from tfrec.retrieval.index import NO_ITEM, best

TABLE = pa.table(
    {
        "_id": ["a", "b", "c", "d"],
        "_name": ["A", "B", "C", "D"],
        "department": ["food", "drink", None, "food"],
        "tags": pa.array([["vegan", "new"], [], None, ["vegan"]], pa.list_(pa.string())),
        "price": pa.array([1.0, 2.5, 7.0, None], pa.float32()),
        "style": pa.array([[1.0, 0.0]] * 4, pa.list_(pa.float32())),
    }
)
FEATURES = ("department", "tags", "price")


@pytest.fixture(scope="module")
def item_filter() -> ItemFilter:
    return ItemFilter(TABLE, FEATURES, np.array([False, False, True, True]))


def conditions(batch: int = 1, **given: Any) -> dict[str, tf.Tensor]:
    """What a request says, with nothing asked of the features that are not given."""
    asked: dict[str, Any] = {f"only_{name}": [[""]] * batch for name in ("department", "tags")}
    asked |= {f"{bound}_price": [np.nan] * batch for bound in ("least", "most")}
    types = {"only": tf.string}
    return {
        name: tf.constant(value, types.get(name.partition("_")[0], tf.float32))
        for name, value in {**asked, **given}.items()
    }


def passing(item_filter: ItemFilter, batch: int = 1, **given: Any) -> list[str]:
    allowed = item_filter.allowed(conditions(batch, **given), tf.constant(batch)).numpy()
    return ["".join(np.array(list("abcd"))[row]) for row in allowed]


def test_inputs_are_lists_of_categories_and_bounds_of_numbers(item_filter: ItemFilter) -> None:
    described = {name: (spec.dtype, spec.shape.rank) for name, spec in item_filter.inputs().items()}

    assert described == {
        "only_department": (tf.string, 2),
        "only_tags": (tf.string, 2),
        "least_price": (tf.float32, 1),
        "most_price": (tf.float32, 1),
    }


def test_everything_passes_where_nothing_is_asked(item_filter: ItemFilter) -> None:
    assert passing(item_filter) == ["abcd"]
    assert passing(item_filter, only_department=[[""] * 3]) == ["abcd"]
    assert passing(item_filter, only_department=tf.zeros([1, 0], tf.string)) == ["abcd"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (["food"], "ad"),
        (["food", "drink"], "abd"),
        (["drink", "", ""], "b"),
        (["unheard of"], ""),
        (["unheard of", "drink"], "b"),
    ],
)
def test_item_of_a_wanted_category_passes(
    item_filter: ItemFilter, wanted: list[str], expected: str
) -> None:
    assert passing(item_filter, only_department=[wanted]) == [expected]


@pytest.mark.parametrize(
    ("wanted", "expected"), [(["vegan"], "ad"), (["new"], "a"), (["new", "vegan"], "ad")]
)
def test_item_with_one_of_the_wanted_categories_among_several_passes(
    item_filter: ItemFilter, wanted: list[str], expected: str
) -> None:
    assert passing(item_filter, only_tags=[wanted]) == [expected]


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        (2.5, np.nan, "bc"),
        (np.nan, 2.5, "ab"),
        (2.0, 3.0, "b"),
        (3.0, 2.0, ""),
        (np.nan, np.nan, "abcd"),
    ],
)
def test_bounds_are_part_of_the_range_and_what_has_no_number_is_outside(
    item_filter: ItemFilter, least: float, most: float, expected: str
) -> None:
    assert passing(item_filter, least_price=[least], most_price=[most]) == [expected]


def test_conditions_are_all_to_be_met_and_each_request_has_its_own(
    item_filter: ItemFilter,
) -> None:
    found = passing(
        item_filter,
        3,
        only_department=[["food"], ["drink"], [""]],
        most_price=[5.0, 1.0, np.nan],
    )

    assert found == ["a", "", "abcd"]


def test_a_column_without_any_value_passes_only_where_it_is_not_asked() -> None:
    table = pa.table({"kind": pa.array([None, None], pa.string())})
    empty = ItemFilter(table, ("kind",), np.zeros(2, bool))

    for wanted, expected in (("", [True, True]), ("x", [False, False])):
        allowed = empty.allowed({"only_kind": tf.constant([[wanted]])}, tf.constant(1))
        assert allowed.numpy().tolist() == [expected]


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ("colour", "'colour' is no feature of the catalogue; known: department, tags, price"),
        ("style", "style holds vectors; filter by another feature"),
    ],
)
def test_feature_that_cannot_be_filtered_by_is_named(feature: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^serving.filters: {message}"):
        ItemFilter(TABLE, (feature,), np.zeros(4, bool))


def plain_mix(
    scores: np.ndarray, allowed: np.ndarray, new: np.ndarray, k: int, n: int
) -> list[int]:
    order = [item for item in np.argsort(-scores) if allowed[item]]
    fresh = [item for item in order if new[item]][:n]
    others = [item for item in order if item not in fresh][: k - len(fresh)]
    mixed = sorted([*fresh, *others], key=lambda item: -scores[item])
    return [int(item) for item in mixed] + [NO_ITEM] * (k - len(mixed))


@pytest.mark.parametrize("n", [0, 1, 3, 8])
def test_list_has_so_many_new_items_as_are_asked_for_and_allowed(n: int) -> None:
    random = np.random.default_rng(n)
    vectors = random.normal(size=(50, 6)).astype(np.float32)
    queries = random.normal(size=(40, 6)).astype(np.float32)
    allowed = random.random((40, 50)) < random.random((40, 1))
    new = random.random(50) < 0.15
    index = BruteForce(vectors)

    found = index.search_allowed(tf.constant(queries), 8, tf.constant(allowed))
    among = tf.constant(allowed & new)
    ids, scores = best(
        *with_new(*found, *index.search_allowed(tf.constant(queries), n, among)), tf.constant(8)
    )

    exact = queries @ vectors.T
    expected = [plain_mix(row, mask, new, 8, n) for row, mask in zip(exact, allowed, strict=True)]
    assert ids.numpy().tolist() == expected
    assert (np.diff(np.nan_to_num(scores.numpy(), neginf=-1e9), axis=1) <= 0).all()


def test_new_items_that_a_list_lacks_come_at_its_end() -> None:
    ids = tf.constant([[5, 7, 3, 9], [5, 7, NO_ITEM, NO_ITEM]], tf.int64)
    scores = tf.constant([[1.0, 4.0, 3.0, 2.0], [1.0, 4.0, -np.inf, -np.inf]])
    new_ids = tf.constant([[3, 8], [8, NO_ITEM]], tf.int64)
    new_scores = tf.constant([[3.0, 0.5], [0.5, -np.inf]])

    rows, kept = with_new(ids, scores, new_ids, new_scores)

    assert rows.numpy().tolist() == [[5, 7, 3, 8], [5, 7, 8, NO_ITEM]]
    assert kept.numpy().tolist() == [[1.0, 4.0, 3.0, 0.5], [1.0, 4.0, 0.5, -np.inf]]
