from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from tfrec.embeddings.aged_counts import AgedCounts
from tfrec.embeddings.count_min_sketch import CountMinSketch

LINES, WIDTH = 3, 2000


@pytest.fixture
def sketch() -> CountMinSketch:
    return CountMinSketch(
        AgedCounts(tf.Variable(tf.zeros([LINES * WIDTH], tf.int32))), LINES, WIDTH
    )


def add(sketch: CountMinSketch, counts: Counter[int], epoch: int = 0) -> dict[int, int]:
    ids = list(counts)
    numbers = tf.constant(list(counts.values()), tf.int64)
    estimates = sketch.add(tf.constant(ids, tf.int64), numbers, tf.constant(epoch, tf.int64))
    return dict(zip(ids, estimates.numpy().tolist(), strict=True))


def test_estimates_are_never_too_low_and_seldom_too_high(sketch: CountMinSketch) -> None:
    random = np.random.default_rng(0)
    names = random.integers(2**63 - 1, size=1000).tolist()
    true: Counter[int] = Counter()
    estimates: dict[int, int] = {}

    for _ in range(50):
        batch = Counter(names[place] for place in random.geometric(0.01, 200) % 1000)
        true += batch
        estimates |= add(sketch, batch)

    over = [estimates[name] - true[name] for name in true]
    assert len(over) > 300
    assert min(over) == 0
    assert np.mean(np.array(over) > 0) < 0.03


def test_ids_that_share_every_counter_have_the_sum_at_the_most() -> None:
    sketch = CountMinSketch(AgedCounts(tf.Variable(tf.zeros([LINES], tf.int32))), LINES, 1)

    assert add(sketch, Counter({1: 3})) == {1: 3}
    assert add(sketch, Counter({2: 4})) == {2: 7}


def test_counts_of_earlier_epochs_are_halved(sketch: CountMinSketch) -> None:
    add(sketch, Counter({5: 9}))

    assert add(sketch, Counter({5: 1}), epoch=1) == {5: 5}
    assert add(sketch, Counter({5: 1}), epoch=1) == {5: 6}
