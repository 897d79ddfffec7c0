from pathlib import Path

import index_graphs
import numpy as np
import pytest
import tensorflow as tf

from tfrec.retrieval.chunked_flat import ChunkedFlat
from tfrec.retrieval.clustering import train_centroids

K = 20


def vectors_of(items: int, dim: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(items, dim)).astype(np.float32)


def search(index: ChunkedFlat, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    ids, scores = index_graphs.search(index, queries, k)
    return ids.numpy(), scores.numpy()


@pytest.mark.parametrize(
    ("items", "dim", "partitions"), [(1, 3, 1), (2, 3, 2), (17, 1, 50), (500, 6, 1), (500, 6, 40)]
)
def test_all_partitions_together_find_what_exact_search_finds(
    items: int, dim: int, partitions: int
) -> None:
    vectors, queries = vectors_of(items, dim), vectors_of(9, dim)
    index = ChunkedFlat(vectors, partitions)

    ids, scores = search(index, queries, min(items, K))

    order = np.argsort(-queries @ vectors.T, axis=1)[:, :K]
    assert index.partitions <= items
    assert ids.tolist() == order.tolist()
    expected = np.take_along_axis(queries @ vectors.T, order, axis=1)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


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


def test_saved_index_holds_ops_of_tensorflow_only_and_answers_the_same(tmp_path: Path) -> None:
    vectors, queries = vectors_of(3000), vectors_of(12)
    index = ChunkedFlat(vectors, partitions=40)
    index.probe([(K, 3)], rescored=1)
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
