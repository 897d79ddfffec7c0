import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfrec.embeddings.fetching import recorded
from tfrec.embeddings.table import GroupTable


@pytest.fixture
def table() -> GroupTable:
    table = GroupTable(rows=7, dim=3, name="group")
    table.build(None)
    return table


@pytest.fixture
def sharded() -> GroupTable:
    """A table in three parts, as servers hold it."""
    values = np.arange(21, dtype=np.float32).reshape(7, 3)
    shards = [tf.Variable(part) for part in np.split(values, [3, 5])]
    table = GroupTable(rows=7, dim=3)
    table.build(None)
    table._table = tf.__internal__.distribute.ShardedVariable(shards)
    return table


def test_table_has_its_rows_and_starts_near_zero_without_being_zero(table: GroupTable) -> None:
    (values,) = table.get_weights()

    assert values.shape == (7, 3)
    assert (np.abs(values) <= 0.05).all()
    assert len(np.unique(values)) > 15


def test_fetched_rows_equal_a_plain_gather(table: GroupTable) -> None:
    (values,) = table.get_weights()
    places = np.array([3, 0, 6, 1])

    np.testing.assert_array_equal(table(tf.constant(places)), values[places])


def test_rows_of_shards_come_back_in_the_order_they_were_asked_for(sharded: GroupTable) -> None:
    places = tf.constant([6, 0, 3, 2, 5, 4, 1], tf.int64)

    np.testing.assert_array_equal(sharded(places)[:, 0], 3 * places.numpy())


@pytest.mark.parametrize("places", [[4], [1, 0], [5, 6, 0], []])
def test_shards_that_are_asked_for_nothing_give_nothing(
    sharded: GroupTable, places: list[int]
) -> None:
    rows = sharded(tf.constant(places, tf.int64))

    values = np.arange(21).reshape(7, 3)
    np.testing.assert_array_equal(rows, values[np.array(places, int)])


def test_each_shard_is_asked_once_for_rows_of_its_own(sharded: GroupTable) -> None:
    with recorded() as fetches:
        sharded(tf.constant([6, 0, 3, 2], tf.int64))

    asked = [fetch.rows.numpy().tolist() for fetch in fetches]
    assert asked == [[0, 2], [0], [1]]
    assert [fetch.table for fetch in fetches] == sharded.shards


def test_table_stays_float32_under_mixed_precision() -> None:
    before = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        rows = GroupTable(rows=2, dim=3)(tf.constant([1], tf.int64))
    finally:
        tf_keras.mixed_precision.set_global_policy(before)

    assert rows.dtype == tf.float32


def test_row_outside_the_table_is_an_error(table: GroupTable) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"= 7 is not in \[0, 7\)"):
        table(tf.constant([7], tf.int64))
