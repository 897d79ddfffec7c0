import numpy as np
import tensorflow as tf

from tfrec.losses import bpr, hard_negatives, sampled_softmax

SCORES = tf.constant([[0.5, 3.0, -1.0, 2.0], [4.0, 1.0, 6.0, 5.0]])


def test_the_highest_scored_of_the_other_items_are_kept() -> None:
    positive, negatives = hard_negatives(SCORES, tf.constant([3, 2], tf.int64), 2)

    np.testing.assert_array_equal(positive, [2.0, 6.0])
    np.testing.assert_array_equal(negatives, [[3.0, 0.5], [5.0, 4.0]])


def test_all_are_kept_where_there_are_fewer() -> None:
    _, negatives = hard_negatives(SCORES, [3, 2], 9)

    np.testing.assert_array_equal(negatives, [[3.0, 0.5, -1.0], [5.0, 4.0, 1.0]])


def test_with_all_kept_the_softmax_is_that_of_all_items() -> None:
    losses = sampled_softmax(*hard_negatives(SCORES, [3, 2], 3))

    plain = tf.nn.sparse_softmax_cross_entropy_with_logits([3, 2], SCORES)
    np.testing.assert_allclose(losses, plain, rtol=1e-5)


def test_gradients_reach_what_was_kept_and_nothing_else() -> None:
    with tf.GradientTape() as tape:
        tape.watch(SCORES)
        loss = tf.reduce_sum(bpr(*hard_negatives(SCORES, [3, 2], 1)))

    slope = tape.gradient(loss, SCORES).numpy()
    np.testing.assert_array_equal(
        slope != 0, [[False, True, False, True], [False, False, True, True]]
    )


def test_a_spared_item_is_never_hard() -> None:
    spared = tf.where(SCORES == 3.0, -np.inf, SCORES)

    _, negatives = hard_negatives(spared, [3, 2], 2)

    np.testing.assert_array_equal(negatives, [[0.5, -1.0], [5.0, 4.0]])


def test_a_lone_item_has_no_negatives_and_no_loss() -> None:
    positive, negatives = hard_negatives(tf.constant([[2.0]]), [0], 3)

    assert negatives.shape == (1, 0)
    np.testing.assert_array_equal(sampled_softmax(positive, negatives), [0.0])
    np.testing.assert_array_equal(bpr(positive, negatives), [0.0])
