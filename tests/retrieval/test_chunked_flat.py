import index_graphs
import numpy as np
import tensorflow as tf

from tfrec.retrieval.chunked_flat import ChunkedFlat
from tfrec.retrieval.clustering import train_centroids

K = 20


def vectors_of(items: int, dim: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(items, dim)).astype(np.float32)


def search(index: ChunkedFlat, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    ids, scores = index_graphs.search(index, queries, k)
    return ids.numpy(), scores.numpy()


def test_best_items_of_the_nearest_partition_are_found_without_loss() -> None:
    vectors, queries = vectors_of(3000), vectors_of(3000)[:40]
    index = ChunkedFlat(vectors, partitions=12)
    centroids = train_centroids(vectors, 12)
    owners = np.square(vectors[:, np.newaxis] - centroids).sum(-1).argmin(1)

    index.probe([(K, 1)], rescored=1)
    ids, _ = search(index, queries, K)

    for row, query in zip(ids, queries, strict=True):
        inside = np.flatnonzero(owners == np.argmax(centroids @ query))
        assert row.tolist() == inside[np.argsort(-vectors[inside] @ query)][:K].tolist()


def test_vectors_are_those_of_the_rows() -> None:
    vectors = vectors_of(300)
    rows = np.array([7, 299, 0, 7])

    found = ChunkedFlat(vectors, partitions=20).vectors_of(tf.constant(rows))

    assert found.numpy().tolist() == vectors[rows].tolist()
