"""One replica; `tests/training/test_replicas.py` compares several with one."""

import numpy as np
import tensorflow as tf

from tfrec.losses.replicas import in_step, share_candidates, total


def test_a_lone_replica_waits_for_nobody() -> None:
    assert not in_step()


def test_a_lone_replica_has_its_own_candidates_and_sums() -> None:
    candidates = tf.random.stateless_normal([3, 2], seed=[0, 0])
    rows, positives = tf.constant([7, 2, 9], tf.int64), tf.constant([0, 0, 2, 1])

    shared = share_candidates(candidates, rows, positives)

    for given, got in zip((candidates, rows, positives), shared, strict=True):
        np.testing.assert_array_equal(got, given)
    assert total(tf.constant(5.0)).numpy() == 5
