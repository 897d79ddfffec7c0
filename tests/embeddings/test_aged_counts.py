import numpy as np
import pytest
import tensorflow as tf

from tfrec.embeddings.aged_counts import MOST, AgedCounts


@pytest.fixture
def counts() -> AgedCounts:
    return AgedCounts(tf.Variable(tf.zeros([6], tf.int32)))


def read(counts: AgedCounts, epoch: int) -> list[int]:
    return counts.read(tf.range(6, dtype=tf.int64), whole(epoch)).numpy().tolist()


def whole(number: int | list[int]) -> tf.Tensor:
    return tf.constant(number, tf.int64)


def test_count_is_halved_once_an_epoch(counts: AgedCounts) -> None:
    counts.raise_to(whole([0, 2]), whole([100, 7]), whole(3))

    halves = [read(counts, epoch) for epoch in (3, 4, 5, 10, 1000)]

    assert [(row[0], row[2]) for row in halves] == [(100, 7), (50, 3), (25, 1), (0, 0), (0, 0)]
    assert not np.array(halves)[:, [1, 3, 4, 5]].any()


def test_highest_count_of_an_epoch_stays(counts: AgedCounts) -> None:
    counts.raise_to(whole([1, 1, 4]), whole([5, 9, 2]), whole(0))
    counts.raise_to(whole([1, 4]), whole([8, 3]), whole(0))

    assert read(counts, 0) == [0, 9, 0, 0, 3, 0]


def test_count_of_a_later_epoch_replaces_a_higher_one(counts: AgedCounts) -> None:
    counts.raise_to(whole([1]), whole([100]), whole(0))
    counts.raise_to(whole([1]), whole([51]), whole(1))

    assert read(counts, 1)[1] == 51


def test_reader_that_is_an_epoch_behind_sees_the_count_as_it_is(counts: AgedCounts) -> None:
    counts.raise_to(whole([0]), whole([40]), whole(2))

    assert read(counts, 1)[0] == 40


def test_count_and_epoch_stop_at_their_limits(counts: AgedCounts) -> None:
    counts.raise_to(whole([0]), whole([10**12]), whole(10**12))

    assert read(counts, 10**12)[0] == MOST
