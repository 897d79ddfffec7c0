"""What indexes have in common that search query by query."""

import functools
from collections.abc import Callable
from pathlib import Path

import index_graphs
import numpy as np
import pytest
import tensorflow as tf

from tfrec.retrieval.chunked import Chunked
from tfrec.retrieval.chunked_flat import ChunkedFlat
from tfrec.retrieval.clustering import train_centroids
from tfrec.retrieval.partitioned import Partitioned

K = 20
Build = Callable[..., Chunked]
KINDS = [Partitioned, ChunkedFlat]
BUILDS = {
    "vectors": ChunkedFlat,
    "codes in 1": Partitioned,
    "codes in 2": functools.partial(Partitioned, copies=2),
}


def vectors_of(items: int, dim: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(items, dim)).astype(np.float32)


def search(index: Chunked, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    ids, scores = index_graphs.search(index, queries, k)
    return ids.numpy(), scores.numpy()


@pytest.fixture(params=["partitioned", "chunked_flat"])
def index(request: pytest.FixtureRequest) -> Chunked:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
@pytest.mark.parametrize(
    ("items", "dim", "partitions"), [(1, 3, 1), (2, 3, 2), (17, 1, 50), (500, 6, 1), (500, 6, 40)]
)
def test_all_partitions_together_find_what_exact_search_finds(
    items: int, dim: int, partitions: int, build: Build
) -> None:
    vectors, queries = vectors_of(items, dim), vectors_of(9, dim)
    index = build(vectors, partitions)

    ids, scores = search(index, queries, min(items, K))

    order = np.argsort(-queries @ vectors.T, axis=1)[:, :K]
    assert index.partitions <= items
    assert ids.tolist() == order.tolist()
    expected = np.take_along_axis(queries @ vectors.T, order, axis=1)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reach", [0.2, 0.6])
@pytest.mark.parametrize("kind", KINDS)
def test_partitions_out_of_reach_of_a_query_are_left_out(
    kind: type[Partitioned] | type[ChunkedFlat], reach: float
) -> None:
    vectors, queries = vectors_of(3000), vectors_of(3000)[:40]
    index = kind(vectors, partitions=30)
    index.probe([(K, 12)], rescored=20)
    centroids = train_centroids(vectors, 30)
    owners = np.square(vectors[:, np.newaxis] - centroids).sum(-1).argmin(1)

    index.prune([(K, reach)])
    ids, _ = search(index, queries, K)

    numbers = []
    for row, query in zip(ids, queries, strict=True):
        scores = centroids @ query
        near = np.argsort(-scores)[:12]
        near = near[scores[near] >= scores.max() - reach * scores.std()]
        numbers.append(len(near))
        inside = np.flatnonzero(np.isin(owners, near))
        wanted = inside[np.argsort(-vectors[inside] @ query)][:K]
        if len(inside) > 20 * K:
            assert row.tolist() == wanted.tolist()
    assert min(numbers) < max(numbers)


def test_list_is_full_however_short_the_reach(index: Chunked, near_items: np.ndarray) -> None:
    index.probe([(K, 9), (500, 60)], rescored=1)
    index.prune([(K, 0.0), (500, 0.0)])

    for k in (K, 500):
        ids, _ = search(index, near_items, k)
        assert ids.min() >= 0


def test_setting_how_much_is_searched_ends_the_pruning(
    index: Chunked, near_items: np.ndarray
) -> None:
    found = []
    for prunes in (False, True, False):
        index.probe([(K, 9)], rescored=2)
        if prunes:
            index.prune([(K, 0.0)])
        found.append(search(index, near_items, K)[0].tolist())

    assert found[0] == found[2] != found[1]


@pytest.mark.parametrize("kind", KINDS)
def test_seed_decides_the_index(kind: type[Partitioned] | type[ChunkedFlat]) -> None:
    vectors, queries = vectors_of(2000), vectors_of(50)
    found = []
    for seed in (0, 0, 1):
        index = kind(vectors, partitions=50, seed=seed)
        index.probe([(K, 1)], rescored=1)
        found.append(search(index, queries, K)[0].tolist())

    assert found[0] == found[1]
    assert found[0] != found[2]


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_saved_index_holds_ops_of_tensorflow_only_and_answers_the_same(
    build: Build, tmp_path: Path
) -> None:
    vectors, queries = vectors_of(3000), vectors_of(12)
    index = build(vectors, partitions=40)
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
