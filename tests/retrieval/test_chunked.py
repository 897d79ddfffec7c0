"""What indexes have in common that search query by query."""

import index_graphs
import numpy as np
import pytest

from tfrec.retrieval.chunked import Chunked
from tfrec.retrieval.chunked_flat import ChunkedFlat
from tfrec.retrieval.clustering import train_centroids
from tfrec.retrieval.partitioned import Partitioned

K = 20
KINDS = [Partitioned, ChunkedFlat]


def vectors_of(items: int, dim: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(items, dim)).astype(np.float32)


def search(index: Chunked, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    ids, scores = index_graphs.search(index, queries, k)
    return ids.numpy(), scores.numpy()


@pytest.fixture(params=["partitioned", "chunked_flat"])
def index(request: pytest.FixtureRequest) -> Chunked:
    return request.getfixturevalue(request.param)


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
