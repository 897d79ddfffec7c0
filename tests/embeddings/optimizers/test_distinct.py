import pytest
import tensorflow as tf

from tfrec.embeddings.optimizers.distinct import DistinctRows, sum_by_row

VALUES = [[1.0], [2.0], [4.0]]


def look_up(table: tf.Variable, rows: list[int]) -> tf.Tensor:
    """Reads rows, with a gradient that is marked as naming each once."""

    @tf.custom_gradient
    def read(indices: tf.Tensor) -> tuple[tf.Tensor, object]:
        def gradient(upstream: tf.Tensor, variables: list[tf.Variable]) -> tuple:
            return None, [DistinctRows(upstream, indices, tf.constant([5, 1]))]

        return tf.gather(table, indices), gradient

    return read(tf.constant(rows))


def test_slices_of_one_row_are_summed() -> None:
    gradient = sum_by_row(tf.IndexedSlices(tf.constant(VALUES), tf.constant([3, 0, 3])))

    assert gradient.indices.numpy().tolist() == [3, 0]
    assert gradient.values.numpy().tolist() == [[5], [2]]


def test_rows_marked_as_distinct_are_left_as_they_are() -> None:
    gradient = DistinctRows(tf.constant(VALUES), tf.constant([3, 0, 1]))

    assert sum_by_row(gradient) is gradient


@pytest.mark.parametrize("run_functions_eagerly", [True, False])
def test_mark_is_lost_where_gradients_are_joined(run_functions_eagerly: bool) -> None:
    table = tf.Variable(tf.ones([5, 1]))

    def compute() -> tf.IndexedSlices:
        with tf.GradientTape(persistent=True) as tape:
            once = tf.reduce_sum(look_up(table, [4, 1]))
            twice = once + 2 * tf.reduce_sum(look_up(table, [0, 4]))
        assert isinstance(tape.gradient(once, table), DistinctRows)
        joined = tape.gradient(twice, table)
        assert not isinstance(joined, DistinctRows)
        return sum_by_row(joined)

    gradient = (compute if run_functions_eagerly else tf.function(compute))()

    assert sorted(gradient.indices.numpy()) == [0, 1, 4]
    assert tf.convert_to_tensor(gradient).numpy()[:, 0].tolist() == [2, 1, 0, 0, 3]
