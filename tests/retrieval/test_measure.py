from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tfrec.retrieval import measure
from tfrec.retrieval.brute_force import BruteForce
from tfrec.retrieval.index import NO_ITEM
from tfrec.retrieval.measure import (
    first_items,
    measure_filtered,
    measure_latency,
    measure_memory,
    measure_recall,
    traced,
)
from tfrec.retrieval.partitioned import Partitioned
from tfrec.retrieval.scann_index import Scann
from tfrec.retrieval.scored import Scored


def recall_of(found: np.ndarray, exact: np.ndarray) -> float:
    """Recall where every item has another score."""
    vectors = np.arange(1, 101, dtype=np.float32)[:, np.newaxis]
    return measure_recall(found, exact, np.ones([len(exact), 1], np.float32), vectors)


def test_recall_is_the_share_of_the_exact_first_items_that_were_found() -> None:
    exact = np.array([[0, 1, 2, 3], [5, 6, 7, 8]])
    found = np.array([[3, 9, 0, 4], [0, 1, 2, 3]])

    assert recall_of(found, exact) == pytest.approx((2 + 0) / 8)
    assert recall_of(exact[:, ::-1], exact) == 1


def test_places_that_a_list_leaves_empty_are_not_found() -> None:
    exact = np.array([[0, 1], [1, 0]])
    found = np.array([[0, NO_ITEM], [NO_ITEM, NO_ITEM]])

    assert recall_of(found, exact) == pytest.approx(1 / 4)


def test_recall_is_that_of_a_plain_count() -> None:
    random = np.random.default_rng(0)
    exact, found = (
        np.stack([random.choice(50, 10, replace=False) for _ in range(40)]) for _ in range(2)
    )

    shares = [len({*f} & {*e}) / 10 for f, e in zip(found.tolist(), exact.tolist(), strict=True)]
    assert recall_of(found, exact) == pytest.approx(np.mean(shares))


def test_items_as_good_as_the_last_exact_one_count_as_found() -> None:
    vectors = np.array([[3, 0], [2, 1], [2, 7], [2.000001, 5], [1, 0], [3, 4]], np.float32)
    queries = np.array([[1, 0], [-1, 0]], np.float32)
    exact = np.array([[0, 5, 1], [4, 1, 2]])

    def recall(*found: list[int]) -> float:
        return measure_recall(np.array(found), exact, queries, vectors)

    assert recall([5, 0, 2], [4, 2, 3]) == 1
    assert recall([5, 0, 4], [4, 2, 3]) == pytest.approx(5 / 6)
    assert recall([0, 2, 3], [0, 5, 4]) == pytest.approx((3 + 1) / 6)


def test_first_items_of_many_queries_come_from_several_batches() -> None:
    random = np.random.default_rng(0)
    vectors, queries = (random.normal(size=(n, 8)).astype(np.float32) for n in (50, 600))

    found = first_items(traced(BruteForce(vectors), vectors.shape[1]), queries, k=3)

    assert found.tolist() == np.argsort(-queries @ vectors.T, axis=1)[:, :3].tolist()


def test_latency_is_measured_per_query(monkeypatch: pytest.MonkeyPatch) -> None:
    index = BruteForce(tf.eye(4))
    clock = iter(float(second) for second in range(100))
    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: next(clock)))

    milliseconds = measure_latency(traced(index, 4), np.eye(4, dtype=np.float32)[:3], k=2)

    assert milliseconds == 1000.0
    assert next(clock) == 2 * (1 + 30)


@pytest.mark.parametrize("together", [2, 4, 64])
def test_queries_asked_together_share_the_time(
    monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    clock = iter(float(second) for second in range(100))
    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    queries = np.eye(4, dtype=np.float32)

    milliseconds = measure_latency(traced(BruteForce(tf.eye(4)), 4), queries, 2, together)

    assert milliseconds == 1000.0 / min(together, 4)
    assert next(clock) == 2 * (1 + 30)


def test_memory_is_that_of_all_variables() -> None:
    class Holds(Scored):
        def __init__(self) -> None:
            super().__init__(3)
            self.codes = tf.Variable(tf.zeros([1000, 5], tf.int8))
            self.vectors = tf.Variable(tf.zeros([1000, 5]))
            self.state = tf.Variable([b"12345", b"", b"1"])

    assert measure_memory(Holds()) == pytest.approx((5000 * (1 + 4) + 6) / 1e6)
    assert measure_memory(BruteForce(np.ones([100, 4], np.float32))) == pytest.approx(1600 / 1e6)


def test_only_the_exact_items_that_there_are_count() -> None:
    exact = np.array([[4, 2, NO_ITEM], [1, NO_ITEM, NO_ITEM]])
    found = np.array([[2, NO_ITEM, NO_ITEM], [1, NO_ITEM, NO_ITEM]])

    assert recall_of(found, exact) == pytest.approx(2 / 3)


def test_filters_are_measured_from_half_of_the_items_to_one_in_a_hundred(
    clusters: np.ndarray, near_items: np.ndarray, partitioned: Partitioned, scann: Scann
) -> None:
    exact = BruteForce(clusters)
    for index in (partitioned, scann):
        index.probe([(20, 16)], rescored=4.0)
        measured = measure_filtered(index, exact, clusters, near_items, 20)

        assert [(one.share, one.alike) for one in measured] == [
            (share, alike) for share in (0.5, 0.2, 0.1, 0.05, 0.01) for alike in (False, True)
        ]
        assert min(one.recall for one in measured) > 0.9
        assert min(one.milliseconds for one in measured) > 0


def test_a_filter_that_leaves_fewer_items_than_are_wanted_is_measured_by_those() -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    index = BruteForce(vectors)

    assert {one.recall for one in measure_filtered(index, index, vectors, vectors, 30)} == {1.0}
