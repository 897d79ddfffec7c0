import numpy as np
import tensorflow as tf

from tfrec.layers import RecentPositions


def test_values_move_by_the_vector_of_their_distance_from_the_end() -> None:
    layer = RecentPositions(3)
    values = tf.random.stateless_normal([3, 4, 2], [1, 2])
    lengths = [4, 2, 1]

    found = layer(values, tf.constant(lengths, tf.int64)).numpy()

    (vectors,) = layer.get_weights()
    for row, length in enumerate(lengths):
        for place in range(length):
            expected = values[row, place] + vectors[min(length - 1 - place, 2)]
            np.testing.assert_allclose(found[row, place], expected, rtol=1e-6)
