import numpy as np
import pytest
import tensorflow as tf

from tfrec.embeddings.fetching import fetch, recorded, table_gradient
from tfrec.embeddings.optimizers.distinct import DistinctRows


@pytest.fixture
def table() -> tf.Variable:
    return tf.Variable(np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32))


def loss_of(table: tf.Variable, *lookups: list[int]) -> tf.Tensor:
    """A loss in which rows of several lookups meet."""
    rows = [fetch(table, tf.constant(places, tf.int64)) for places in lookups]
    return tf.reduce_sum(tf.concat(rows, 0) ** 3) * tf.reduce_sum(rows[0])


@pytest.mark.parametrize("lookups", [[[4, 1, 0]], [[4, 1], [1, 5, 4]], [[2], [2], [2]]])
def test_gradient_of_a_table_equals_tensorflows_own(
    table: tf.Variable, lookups: list[list[int]]
) -> None:
    with tf.GradientTape(persistent=True) as tape, recorded() as fetches:
        loss = loss_of(table, *lookups)

    gradient = table_gradient(fetches, tape.gradient(loss, [each.values for each in fetches]))

    expected = tf.convert_to_tensor(tape.gradient(loss, table))
    np.testing.assert_allclose(tf.convert_to_tensor(gradient), expected, rtol=1e-5)


def test_rows_that_are_used_again_and_again_have_one_slope_each(table: tf.Variable) -> None:
    with tf.GradientTape() as tape, recorded() as fetches:
        rows = fetch(table, tf.constant([4, 1], tf.int64))
        loss = tf.reduce_sum(tf.gather(rows, [0, 1, 0, 0]))

    gradient = table_gradient(fetches, tape.gradient(loss, [each.values for each in fetches]))

    np.testing.assert_array_equal(gradient.values.numpy(), [[3, 3], [1, 1]])


def test_rows_that_were_fetched_once_are_known_to_be_distinct(table: tf.Variable) -> None:
    def gradient(*lookups: list[int]) -> tf.IndexedSlices:
        with tf.GradientTape() as tape, recorded() as fetches:
            loss = loss_of(table, *lookups)
        return table_gradient(fetches, tape.gradient(loss, [each.values for each in fetches]))

    assert isinstance(gradient([4, 1]), DistinctRows)
    assert not isinstance(gradient([4, 1], [1]), DistinctRows)


def test_only_what_is_fetched_meanwhile_is_recorded(table: tf.Variable) -> None:
    rows = tf.constant([0], tf.int64)
    fetch(table, rows)
    with recorded() as outer:
        fetch(table, rows)
        with recorded() as inner:
            fetch(table, rows)
        fetch(table, rows)
    fetch(table, rows)

    assert (len(outer), len(inner)) == (3, 1)
