"""A shop whose preferences are known: what training from batches recovers of them.

Each of three kinds of shopper buys an item with a known probability, to which popularity and taste
contribute. A table of free scores learns from batches of purchases alone, so that whatever it gets
wrong in the end is the loss's doing.
"""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tfrec.losses import StreamingFrequency, in_batch_softmax

KINDS, ITEMS, BATCH, STEPS = 3, 100, 32, 6000

Shares = Callable[[tf.Tensor], tf.Tensor]


@pytest.fixture(scope="module")
def preferences() -> np.ndarray:
    """The probability of each item for each kind of shopper: `[kinds, items]`."""
    taste = np.random.default_rng(0).normal(size=(KINDS, ITEMS))
    weights = np.exp(0.7 * taste) / np.arange(1, ITEMS + 1)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def learn(preferences: np.ndarray) -> Callable[[Shares], np.ndarray]:
    """Learns scores with the shares that a function says items have: `[kinds, items]`."""
    random = np.random.default_rng(1)
    kinds = random.integers(KINDS, size=(STEPS, BATCH))
    drawn = random.random((STEPS, BATCH, 1)) > preferences.cumsum(axis=1)[kinds]
    bought = np.minimum(drawn.sum(axis=-1), ITEMS - 1)

    def learn(shares: Shares) -> np.ndarray:
        table, mean = (tf.Variable(tf.zeros([ITEMS, KINDS])) for _ in range(2))

        @tf.function
        def train() -> None:
            for step in tf.range(STEPS):
                queries = tf.one_hot(tf.gather(kinds, step), KINDS)
                rows, positives = tf.unique(tf.gather(bought, step))
                share = shares(rows)
                with tf.GradientTape() as tape:
                    candidates = tf.gather(table, rows)
                    losses = in_batch_softmax(queries, candidates, positives, share)
                    loss = tf.reduce_mean(losses)
                rate = 20.0 - 18.0 * tf.cast(step, tf.float32) / STEPS
                table.assign_sub(rate * tf.convert_to_tensor(tape.gradient(loss, table)))
                if step >= STEPS // 2:
                    mean.assign_add(2 * table / STEPS)

        train()
        return mean.numpy().T

    return learn


def centred(scores: np.ndarray) -> np.ndarray:
    return scores - scores.mean(axis=-1, keepdims=True)


def popularity_slope(errors: np.ndarray, share: np.ndarray) -> float:
    """How much the scores change, beyond what is right, as an item's log share goes up by one."""
    log_share = centred(np.log(share))
    return float((errors @ log_share).mean() / (log_share @ log_share))


def top_overlap(scores: np.ndarray, preferences: np.ndarray) -> float:
    """Share of each kind's ten favourite items among the ten with the highest scores."""
    tops = [np.argsort(-values, axis=1)[:, :10] for values in (scores, preferences)]
    return float(np.mean([np.isin(*pair).mean() for pair in zip(*tops, strict=True)]))


@pytest.mark.parametrize("source", ["known", "streamed"])
def test_with_correction_the_true_log_odds_are_recovered(
    preferences: np.ndarray, learn: Callable[[Shares], np.ndarray], source: str
) -> None:
    share = preferences.mean(axis=0)
    frequency = StreamingFrequency(ITEMS)

    def streamed(rows: tf.Tensor) -> tf.Tensor:
        frequency.update(rows)
        return frequency.shares(rows, BATCH)

    def known(rows: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.constant(share, tf.float32), rows)

    scores = learn(known if source == "known" else streamed)

    errors = centred(scores) - centred(np.log(preferences))
    assert abs(popularity_slope(errors, share)) < 0.03
    assert np.sqrt((errors**2).mean()) < 0.15  # Of log-odds that vary by 1.2.
    assert top_overlap(scores, preferences) > 0.9


def test_without_correction_popular_items_are_underrated(
    preferences: np.ndarray, learn: Callable[[Shares], np.ndarray]
) -> None:
    share = preferences.mean(axis=0)

    scores = learn(lambda rows: tf.fill(tf.shape(rows), 1 / ITEMS))

    errors = centred(scores) - centred(np.log(preferences))
    assert popularity_slope(errors, share) < -0.7
    assert errors[:, share.argmax()].max() < -1
    assert top_overlap(scores, preferences) < 0.7
