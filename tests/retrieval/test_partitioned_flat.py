import index_graphs
import numpy as np
import pytest
import tensorflow as tf

from tfrec.errors import UserError
from tfrec.retrieval.clustering import train_centroids
from tfrec.retrieval.partitioned_flat import PartitionedFlat

K = 20


def vectors_of(items: int, dim: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(items, dim)).astype(np.float32)


def search(index: PartitionedFlat, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    ids, scores = index_graphs.search(index, queries, k)
    return ids.numpy(), scores.numpy()


@pytest.mark.parametrize(
    ("items", "dim", "partitions"), [(1, 3, 1), (2, 3, 2), (17, 1, 50), (500, 6, 1), (500, 6, 40)]
)
def test_all_partitions_together_find_what_exact_search_finds(
    items: int, dim: int, partitions: int
) -> None:
    vectors, queries = vectors_of(items, dim), vectors_of(9, dim)
    index = PartitionedFlat(vectors, partitions)

    ids, scores = search(index, queries, min(items, K))

    order = np.argsort(-queries @ vectors.T, axis=1)[:, :K]
    assert index.partitions <= items
    assert ids.tolist() == order.tolist()
    expected = np.take_along_axis(queries @ vectors.T, order, axis=1)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("probed", [3, 12])
def test_items_of_the_nearest_partitions_are_scored_and_no_others(probed: int) -> None:
    vectors, queries = vectors_of(3000), vectors_of(3000)[:40]
    index = PartitionedFlat(vectors, partitions=30)
    centroids = train_centroids(vectors, 30)
    owners = np.square(vectors[:, np.newaxis] - centroids).sum(-1).argmin(1)

    index.probe([(K, probed)], rescored=1)
    ids, _ = search(index, queries, K)

    numbers = set()
    for row, query in zip(ids, queries, strict=True):
        near = np.argsort(-centroids @ query)[:probed]
        inside = np.flatnonzero(np.isin(owners, near))
        numbers.add(len(inside))
        assert row.tolist() == inside[np.argsort(-vectors[inside] @ query)][:K].tolist()
    assert len(numbers) > 10


def test_vectors_are_those_of_the_rows() -> None:
    vectors = vectors_of(300)
    index = PartitionedFlat(vectors)
    rows = np.array([299, 0, 7, 7])

    assert (index.vectors_of(tf.constant(rows)).numpy() == vectors[rows]).all()


def test_vectors_that_are_no_numbers_are_refused() -> None:
    vectors = vectors_of(30)
    vectors[7, 2] = np.nan

    with pytest.raises(UserError, match="1 item vectors are not finite, the first in row 7"):
        PartitionedFlat(vectors)
