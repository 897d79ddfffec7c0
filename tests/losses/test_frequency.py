import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfrec.losses import StreamingFrequency

ITEMS, BATCH = 40, 16
POPULARITY = 1 / np.arange(1, ITEMS + 1) / (1 / np.arange(1, ITEMS + 1)).sum()
EVERY = tf.range(ITEMS, dtype=tf.int64)


def stream(share: np.ndarray, batches: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(len(share), size=(batches, BATCH), p=share)


def take(frequency: StreamingFrequency, batches: np.ndarray) -> None:
    @tf.function
    def update(batch: tf.Tensor) -> None:
        frequency.update(tf.unique(batch)[0])

    for batch in batches:
        update(tf.constant(batch, tf.int64))


def test_gaps_are_averaged_as_the_paper_says_after_the_first_ones() -> None:
    frequency = StreamingFrequency(4, learning_rate=0.4)
    gap, last = 0.0, 0
    for batch, bought in enumerate([0, 0, 1, 1, 0, 0, 1, 0, 1, 1, 1, 0, 1], 1):
        frequency.update(tf.constant([2, 1] if bought else [2], tf.int64))
        if bought:
            seen = [0, 3, 4, 7, 9, 10, 11].index(last)
            rate = [1, 1, 0.5, 0.4, 0.4, 0.4, 0.4][seen]
            gap, last = (1 - rate) * gap + rate * (batch - last), batch
            assert frequency.chance(tf.constant([1, 2], tf.int64)).numpy() == pytest.approx(
                [1 / gap, 1]
            )


def test_estimates_converge_to_how_often_batches_hold_an_item() -> None:
    frequency = StreamingFrequency(ITEMS, learning_rate=0.01)

    take(frequency, stream(POPULARITY, 3000))

    held = 1 - (1 - POPULARITY) ** BATCH
    np.testing.assert_allclose(frequency.chance(EVERY), held, rtol=0.3)
    assert abs(np.log(frequency.chance(EVERY) / held).mean()) < 0.03
    shares = frequency.shares(EVERY, BATCH)
    assert abs(np.log(shares / POPULARITY)[1:].mean()) < 0.03


def test_estimates_follow_a_change() -> None:
    frequency = StreamingFrequency(ITEMS, learning_rate=0.05)
    take(frequency, stream(POPULARITY, 1000))

    take(frequency, stream(POPULARITY[::-1], 1500, seed=1))

    held = 1 - (1 - POPULARITY[::-1]) ** BATCH
    ratio = np.log(frequency.chance(EVERY) / held)
    assert abs(ratio[-20:].mean()) < 0.1
    assert np.corrcoef(np.log(held), np.log(frequency.chance(EVERY)))[0, 1] > 0.95


def test_an_item_that_starts_late_is_known_after_two_sightings() -> None:
    frequency = StreamingFrequency(ITEMS)
    take(frequency, np.zeros([500, 1], int))

    take(frequency, np.array([[3], [0], [0], [3]]))

    assert frequency.chance([3]).numpy() == pytest.approx(1 / 3)


def test_items_that_never_came_are_as_rare_as_the_stream_is_long() -> None:
    frequency = StreamingFrequency(ITEMS)
    assert frequency.chance([5]).numpy() == 1

    take(frequency, np.zeros([50, 1], int))

    np.testing.assert_allclose(frequency.chance([0, 5]), [1, 1 / 50])
    assert np.isfinite(np.log(frequency.shares([0, 5], BATCH))).all()


def test_more_hashes_undo_what_shared_buckets_spoil() -> None:
    batches = stream(POPULARITY, 1500)
    held = 1 - (1 - POPULARITY) ** BATCH
    errors = []
    for hashes in (1, 4):
        frequency = StreamingFrequency(23, learning_rate=0.02, hashes=hashes)
        take(frequency, batches)
        errors.append(np.log(frequency.chance(EVERY) / held).mean())

    assert errors[0] > 0.3
    assert 0 < errors[1] < 0.7 * errors[0]


def test_replicas_in_step_estimate_as_one_does() -> None:
    program = Path(__file__).parents[1] / "frequency_in_step.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    done = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, timeout=800
    )

    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == 0


def test_estimates_are_saved_and_restored(tmp_path: Path) -> None:
    frequency, other = StreamingFrequency(ITEMS), StreamingFrequency(ITEMS)
    take(frequency, stream(POPULARITY, 20))

    path = tf.train.Checkpoint(frequency=frequency).save(f"{tmp_path}/checkpoint")
    tf.train.Checkpoint(frequency=other).restore(path).assert_consumed()

    np.testing.assert_array_equal(frequency.chance(EVERY), other.chance(EVERY))
    assert not frequency.trainable_variables
