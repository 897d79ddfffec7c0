import numpy as np
import pytest
import tensorflow as tf

from tfrec.embeddings.table import EmbeddingTable


@pytest.fixture
def table() -> EmbeddingTable:
    table = EmbeddingTable(rows=7, dim=3, name="sku")
    table(tf.constant([0], tf.int64))
    return table


def ragged(*lists: list[int]) -> tf.RaggedTensor:
    return tf.ragged.constant(lists, tf.int64)


def test_table_has_its_rows_and_starts_near_zero_without_being_zero(table: EmbeddingTable) -> None:
    (values,) = table.get_weights()

    assert values.shape == (7, 3)
    assert (np.abs(values) <= 0.05).all()
    assert len(np.unique(values)) > 15


def test_look_up_equals_a_plain_gather(table: EmbeddingTable) -> None:
    (values,) = table.get_weights()
    ids = np.array([3, 0, 3, 6, 6, 1])

    found = table(tf.constant(ids, tf.int64))

    np.testing.assert_array_equal(found, values[ids])


def test_list_gives_the_mean_of_its_rows(table: EmbeddingTable) -> None:
    (values,) = table.get_weights()
    lists = [[5, 5, 2], [0], [6, 1]]

    found = table(ragged(*lists))

    np.testing.assert_allclose(found, [values[ids].mean(axis=0) for ids in lists], rtol=1e-5)


def test_empty_list_gives_zeros_wherever_it_stands(table: EmbeddingTable) -> None:
    (values,) = table.get_weights()

    found = table(ragged([], [4], [], []))

    np.testing.assert_array_equal(found, [[0] * 3, values[4], [0] * 3, [0] * 3])


def test_only_empty_lists_give_zeros(table: EmbeddingTable) -> None:
    empty = tf.RaggedTensor.from_row_lengths(tf.zeros([0], tf.int64), [0, 0])

    np.testing.assert_array_equal(table(empty), np.zeros([2, 3]))


def test_gradient_touches_only_the_rows_looked_up(table: EmbeddingTable) -> None:
    ids = tf.constant([4, 1, 4], tf.int64)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(table(ids) * [[1.0], [2.0], [3.0]])

    gradient = tape.gradient(total, table.trainable_weights[0])

    assert isinstance(gradient, tf.IndexedSlices)
    assert sorted(gradient.indices.numpy()) == [1, 4]
    dense = tf.convert_to_tensor(gradient).numpy()
    np.testing.assert_array_equal(dense[:, 0], [0, 2, 0, 0, 4, 0, 0])


def test_gradient_of_a_list_is_shared_among_its_rows(table: EmbeddingTable) -> None:
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(table(ragged([5, 5, 2, 0], [])))

    gradient = tape.gradient(total, table.trainable_weights[0])

    dense = tf.convert_to_tensor(gradient).numpy()
    np.testing.assert_allclose(dense[:, 0], [0.25, 0, 0.25, 0, 0, 0.5, 0])


def test_row_outside_the_table_is_an_error(table: EmbeddingTable) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"= 7 is not in \[0, 7\)"):
        table(tf.constant([7], tf.int64))
