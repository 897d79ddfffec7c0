from pathlib import Path

import index_graphs
import numpy as np
import pytest
import tensorflow as tf

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


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize(
    ("items", "dim", "partitions"), [(1, 3, 1), (2, 3, 2), (17, 1, 50), (500, 6, 1), (500, 6, 40)]
)
def test_all_partitions_together_find_what_exact_search_finds(
    items: int, dim: int, partitions: int, copies: int
) -> None:
    vectors, queries = vectors_of(items, dim), vectors_of(9, dim)
    index = Partitioned(vectors, partitions, copies)

    ids, scores = search(index, queries, min(items, K))

    order = np.argsort(-queries @ vectors.T, axis=1)[:, :K]
    assert index.partitions <= items
    assert ids.tolist() == order.tolist()
    expected = np.take_along_axis(queries @ vectors.T, order, axis=1)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


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


@pytest.mark.parametrize("copies", [1, 2])
def test_saved_index_holds_ops_of_tensorflow_only_and_answers_the_same(
    copies: int, tmp_path: Path
) -> None:
    vectors, queries = vectors_of(3000), vectors_of(12)
    index = Partitioned(vectors, partitions=40, copies=copies)
    index.probe([(K, 3)], rescored=1.5)
    module = tf.Module()
    module.index = index
    module.search = tf.function(
        index.search,
        input_signature=[tf.TensorSpec([None, 6], tf.float32), tf.TensorSpec([], tf.int32)],
    )

    tf.saved_model.save(module, str(tmp_path))

    loaded = tf.saved_model.load(str(tmp_path))
    assert loaded.search(queries, K)[0].numpy().tolist() == search(index, queries, K)[0].tolist()
    graph = loaded.search.concrete_functions[0].graph.as_graph_def()
    functions = [function.node_def for function in graph.library.function]
    ops = {node.op for nodes in (graph.node, *functions) for node in nodes}
    assert "TopKV2" in ops
    assert not [op for op in ops if ">" in op]  # as in `Scann>ScannSearchBatched`
