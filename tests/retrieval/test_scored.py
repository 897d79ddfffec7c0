import numpy as np
import tensorflow as tf

from tfrec.retrieval.index import NO_ITEM
from tfrec.retrieval.scored import Scored

SCORES = np.array([[1, 5, 3, 4], [-1, -np.inf, -np.inf, 0]], np.float32)


def test_best_scores_come_first_and_what_has_none_is_not_returned() -> None:
    ids, scores = Scored(4).search(tf.constant(SCORES), 3)

    assert ids.numpy().tolist() == [[1, 3, 2], [3, 0, NO_ITEM]]
    assert scores.numpy().tolist() == [[5, 4, 3], [0, -1, -np.inf]]


def test_excluded_items_make_room_for_the_next() -> None:
    exclude = tf.constant([[1, 3], [3, NO_ITEM]], tf.int64)

    ids, _ = Scored(4).search(tf.constant(SCORES), 2, exclude)

    assert ids.numpy().tolist() == [[2, 0], [0, NO_ITEM]]


def test_only_allowed_items_are_returned_in_a_graph_of_unknown_batch() -> None:
    index = Scored(4)
    search = tf.function(
        index.search_allowed,
        input_signature=[
            tf.TensorSpec([None, 4], tf.float32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([None, 4], tf.bool),
        ],
    )
    allowed = [[True, False, True, True], [False, True, False, False]]

    ids, scores = search(SCORES, 3, allowed)

    assert ids.numpy().tolist() == [[3, 2, 0], [NO_ITEM] * 3]
    assert scores.numpy().tolist() == [[4, 3, 1], [-np.inf] * 3]
