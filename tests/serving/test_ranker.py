"""What a ranker is told of items, as they were built and as they are put."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfrec.retrieval.index import NO_ITEM
from tfrec.serving.ranker import Ranker

IDS = ["tea", "cake", "jam"]
FEATURES = {
    "tags": np.array([["hot", ""], ["sweet", "new"], ["sweet", ""]], object),
    "price": np.array([1.5, np.nan, 4.0], np.float32),
    "image": np.array([[1.0, 2.0], [0.0, 0.0], [0.0, 1.0]], np.float32),
}
QUERY = {"budget": tf.constant([2.0, 5.0]), "shelf": tf.constant(["low", "high"])}
SLOTS = 2


class Spells:
    """A model whose tasks say what it was told of each item, as numbers."""

    def __init__(self) -> None:
        specs = {
            "budget": tf.TensorSpec([None], tf.float32),
            "name": tf.TensorSpec([None], tf.string),
            "tags": tf.TensorSpec([None, None], tf.string),
            "price": tf.TensorSpec([None], tf.float32),
            "image": tf.TensorSpec([None, 2], tf.float32),
            "places": tf.TensorSpec([None, None], tf.int32),
        }
        named = {name: tf.TensorSpec(s.shape, s.dtype, name) for name, s in specs.items()}

        @tf.function(input_signature=[named])
        def rank_features(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            tags = tf.reduce_sum(tf.strings.length(inputs["tags"]), 1)
            price = tf.where(tf.math.is_nan(inputs["price"]), 100.0, inputs["price"])
            told = {
                "letters": tf.cast(tags + tf.strings.length(inputs["name"]), tf.float32),
                "amounts": price + 10 * tf.reduce_sum(inputs["image"], 1),
            }
            own = {task: tf.gather(values, inputs["places"]) for task, values in told.items()}
            return {**own, "left": inputs["budget"][:, tf.newaxis] - own["amounts"]}

        # Signatures as a loaded SavedModel has them: they take inputs by name.
        concrete = rank_features.get_concrete_function()
        self.signatures = {"rank_features": _Signature(concrete, named)}


class _Signature:
    def __init__(self, function: Any, specs: dict[str, tf.TensorSpec]) -> None:
        self._function = function
        self.structured_input_signature = ((), specs)

    def __call__(self, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._function(inputs)


def make(weights: dict[str, float], candidates: int = 2, slots: int = 0) -> Ranker:
    return Ranker(Spells(), FEATURES, "name", weights, candidates, slots)


def names(cells: tf.Tensor) -> tf.Tensor:
    return tf.gather(tf.constant([*IDS, "pie", "scone"]), cells)


def test_each_task_is_predicted_of_the_features_of_each_item() -> None:
    cells = tf.constant([[2, 0, NO_ITEM], [1, 2, 2]], tf.int64)

    tasks = make({"left": 1.0}).predict(cells, QUERY, names)

    np.testing.assert_array_equal(tasks["letters"], [[8, 6, np.nan], [12, 8, 8]])
    np.testing.assert_array_equal(tasks["amounts"], [[14, 31.5, np.nan], [100, 14, 14]])
    np.testing.assert_array_equal(tasks["left"], [[-12, -29.5, np.nan], [-95, -9, -9]])


def test_lists_are_ordered_by_the_weighted_sum_of_the_tasks() -> None:
    ranker = make({"letters": 10.0, "amounts": -1.0})
    cells = tf.constant([[0, 2, 1], [2, 0, NO_ITEM]], tf.int64)
    scores = tf.constant([[3.0, 2.0, 1.0], [3.0, 2.0, -np.inf]])

    best, own = ranker(cells, scores, tf.constant(3), QUERY, names)

    np.testing.assert_array_equal(best, [[2, 0, 1], [2, 0, NO_ITEM]])
    np.testing.assert_array_equal(own, [[66, 28.5, 20], [66, 28.5, -np.inf]])


@pytest.mark.parametrize(("k", "fetched"), [(1, 2), (3, 3), (9, 4)])
def test_candidates_are_as_many_as_are_set_or_listed_but_not_more_than_items(
    k: int, fetched: int
) -> None:
    assert make({"left": 1.0}).fetch(tf.constant(k), items=4) == fetched


def test_items_that_are_put_have_features_of_their_own() -> None:
    ranker = make({"left": 1.0}, slots=SLOTS)
    put = {
        "tags": tf.constant([["one", "two", "three"], ["x", "", ""]]),
        "price": tf.constant([np.nan, 3.0]),
        "image": tf.constant([[1.0, 1.0], [0.0, 0.5]]),
        "colour": tf.constant(["red", "blue"]),
    }

    ranker.write(tf.range(SLOTS), put)

    cells = tf.constant([[3, 4, 0]] * 2, tf.int64)
    tasks = ranker.predict(cells, QUERY, names)
    np.testing.assert_array_equal(tasks["letters"][0], [14, 6, 6])
    np.testing.assert_array_equal(tasks["amounts"][0], [120, 8, 31.5])


def test_more_values_than_there_is_room_for_are_refused_by_the_features_name() -> None:
    ranker = make({"left": 1.0}, slots=SLOTS)

    ranker.refusals({"tags": tf.constant([["x"] * 8 + [""]])})
    with pytest.raises(tf.errors.InvalidArgumentError, match="tags: an item has more values"):
        ranker.refusals({"tags": tf.constant([["x"] * 9])})
