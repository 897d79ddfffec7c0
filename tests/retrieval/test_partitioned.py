import index_graphs
import numpy as np
import pytest

from tfrec.retrieval.brute_force import BruteForce
from tfrec.retrieval.clustering import train_centroids
from tfrec.retrieval.measure import first_items, measure_recall, traced
from tfrec.retrieval.partitioned import Partitioned

K = 20


def vectors_of(items: int, dim: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(items, dim)).astype(np.float32)


def search(index: Partitioned, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    ids, scores = index_graphs.search(index, queries, k)
    return ids.numpy(), scores.numpy()


@pytest.fixture(scope="module")
def copied(clusters: np.ndarray) -> Partitioned:
    return Partitioned(clusters, copies=2)


def test_item_with_two_copies_is_in_a_list_once(
    copied: Partitioned, near_items: np.ndarray
) -> None:
    for k in (K, 1000):
        copied.probe([(k, 30)], rescored=1.2)
        ids, _ = search(copied, near_items[:20], k)
        assert all(len(set(row)) == k for row in ids.tolist())
        assert ids.min() >= 0


def test_second_copy_finds_items_at_borders_that_twice_the_partitions_miss(
    partitioned: Partitioned, copied: Partitioned, clusters: np.ndarray
) -> None:
    """Each index looks at about as many codes: two partitions of one size, or one of twice that."""
    centroids = train_centroids(clusters, partitioned.partitions)
    distances = np.square(centroids).sum(1) - 2 * clusters @ centroids.T
    first, second = np.sort(distances, axis=1)[:, :2].T
    at_border = clusters[np.argsort(second - first)[:300]]
    exact = first_items(traced(BruteForce(clusters), clusters.shape[1]), at_border, K)

    partitioned.probe([(K, 2)], rescored=4)
    copied.probe([(K, 1)], rescored=4)
    found = (
        first_items(traced(index, clusters.shape[1]), at_border, K)
        for index in (partitioned, copied)
    )
    once, twice = (measure_recall(rows, exact, at_border, clusters) for rows in found)

    assert 1 - twice < (1 - once) / 4


def test_searched_partition_is_the_one_whose_centre_has_the_best_product() -> None:
    vectors, queries = vectors_of(600), vectors_of(600)[:30]
    index = Partitioned(vectors, partitions=6)
    index.probe([(K, 1)], rescored=1)
    centroids = train_centroids(vectors, 6)
    owners = np.square(vectors[:, np.newaxis] - centroids).sum(-1).argmin(1)

    ids, _ = search(index, queries, K)

    for row, query in zip(ids, queries, strict=True):
        inside = np.flatnonzero(owners == np.argmax(centroids @ query))
        best = inside[np.argsort(-vectors[inside] @ query)][:K]
        assert len(set(row) & set(best)) > 0.8 * K
        assert set(row) <= set(inside)


def test_equal_and_zero_vectors_are_found_like_others() -> None:
    vectors = np.zeros([60, 4], np.float32)
    vectors[40:] = 1
    index = Partitioned(vectors, partitions=5, copies=2)

    ids, scores = search(index, np.ones([1, 4], np.float32), 30)

    assert set(ids[0, :20].tolist()) == set(range(40, 60))
    assert len(set(ids[0].tolist())) == 30
    assert scores[0].tolist() == [4] * 20 + [0] * 10
