import numpy as np
import pytest
import tensorflow as tf

from tfrec.embeddings.reset import reset_rows

ROWS, DIM = 10, 3


def reset(sizes: list[int], rows: list[int], seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Resets rows of a table of tens with a slot of ones; returns both whole."""
    shards = [tf.Variable(tf.fill([size, DIM], 10.0)) for size in sizes]
    slots = {id(shard): tf.Variable(tf.ones([len(shard.numpy()), 1])) for shard in shards}

    def reset_slots(shard: tf.Variable, own: tf.Tensor) -> None:
        zeros = tf.zeros([tf.size(own), 1])
        slots[id(shard)].scatter_update(tf.IndexedSlices(zeros, own))

    reset_rows(shards, tf.constant(rows, tf.int64), tf.constant(seed, tf.int64), reset_slots)
    return np.concatenate(shards), np.concatenate(list(slots.values()))


@pytest.mark.parametrize("sizes", [[10], [4, 3, 3]])
@pytest.mark.parametrize("rows", [[], [3], [9, 0, 4], list(range(10))])
def test_rows_get_fresh_values_and_slots_and_the_others_stay(
    sizes: list[int], rows: list[int]
) -> None:
    table, slot = reset(sizes, rows)

    fresh = np.isin(np.arange(ROWS), rows)
    assert (table[~fresh] == 10).all()
    assert (np.abs(table[fresh]) <= 0.05).all()
    assert len(np.unique(table[fresh])) == DIM * len(rows)
    np.testing.assert_array_equal(slot[:, 0], np.where(fresh, 0, 1))


def test_seed_alone_decides_on_the_values() -> None:
    first, again, other = (reset([5, 5], [2, 7], seed)[0] for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert (first[[2, 7]] != other[[2, 7]]).all()
