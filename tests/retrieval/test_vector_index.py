"""Search among the items that a query allows, by vectors."""

import numpy as np
import pytest
import tensorflow as tf
from index_graphs import search_allowed

from tfrec.retrieval.brute_force import BruteForce
from tfrec.retrieval.index import NO_ITEM, Index, marked
from tfrec.retrieval.probing import ProbingIndex

K, PROBED = 20, 16


@pytest.fixture(params=["brute_force", "partitioned", "scann"])
def index(clusters: np.ndarray, request: pytest.FixtureRequest) -> Index:
    if request.param == "brute_force":
        return BruteForce(clusters)
    index: ProbingIndex = request.getfixturevalue(request.param)
    index.probe([(K, PROBED)], rescored=8)
    return index


def drawn(share: float, queries: int, items: int) -> np.ndarray:
    """Allows each query that share of the items, drawn by chance."""
    return np.random.default_rng(2).random((queries, items)) < share


def search(
    index: Index, queries: np.ndarray, allowed: np.ndarray | tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    return search_allowed(index, queries, K, allowed)


def plain_search(vectors: np.ndarray, queries: np.ndarray, allowed: np.ndarray) -> list[list[int]]:
    scores = np.where(allowed, queries @ vectors.T, -np.inf)
    order = np.argsort(-scores, axis=1)[:, :K]
    best = np.take_along_axis(scores, order, axis=1)
    return np.where(np.isfinite(best), order, NO_ITEM).tolist()


@pytest.mark.parametrize("items", [0, 1, K - 1, K, 300])
def test_few_allowed_items_are_found_exactly_wherever_they_are(
    index: Index, clusters: np.ndarray, near_items: np.ndarray, items: int
) -> None:
    random, queries = np.random.default_rng(3), near_items[:10]
    allowed = np.zeros([len(queries), index.items], bool)
    for row in allowed:
        row[random.choice(index.items, items, replace=False)] = True

    ids, scores = search(index, queries, allowed)

    assert ids.numpy().tolist() == plain_search(clusters, queries, allowed)
    assert (np.isfinite(scores) == (ids.numpy() != NO_ITEM)).all()


@pytest.mark.parametrize("share", [0.3, 0.9, 1.0])
def test_many_allowed_items_are_searched_and_their_lists_are_full(
    index: Index, clusters: np.ndarray, near_items: np.ndarray, share: float
) -> None:
    allowed = drawn(share, len(near_items), index.items)

    ids, scores = search(index, near_items, allowed)

    found = ids.numpy()
    assert np.take_along_axis(allowed, found, axis=1).all()
    assert all(len(set(row)) == K for row in found.tolist())
    expected = np.einsum("qd,qkd->qk", near_items, clusters[found])
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
    wanted = np.array(plain_search(clusters, near_items, allowed))
    assert (found[:, :, np.newaxis] == wanted[:, np.newaxis]).any(2).mean() > 0.97


def test_excluded_items_are_those_that_are_not_allowed(
    index: Index, clusters: np.ndarray, near_items: np.ndarray
) -> None:
    queries = near_items[:20]
    exclude = np.argsort(-queries @ clusters.T, axis=1)[:, :5]
    exclude[:, -1] = NO_ITEM
    kept = drawn(0.8, len(queries), index.items) & ~marked(tf.constant(exclude), index.items)

    found = search(index, queries, kept)[0].numpy()

    assert not (found[:, :, np.newaxis] == exclude[:, np.newaxis]).any()
    wanted = np.array(plain_search(clusters, queries, kept.numpy()))
    assert (found[:, :, np.newaxis] == wanted[:, np.newaxis]).any(2).mean() > 0.97


def test_lists_are_full_where_what_is_allowed_is_far_from_the_query(
    index: Index, clusters: np.ndarray, near_items: np.ndarray
) -> None:
    queries = near_items[:10]
    scores = queries @ clusters.T
    allowed = scores < np.median(scores, axis=1, keepdims=True)

    ids, _ = search(index, queries, allowed)

    assert np.take_along_axis(allowed, ids.numpy(), axis=1).all()
    assert all(len(set(row)) == K for row in ids.numpy().tolist())


def test_each_query_has_its_own_items_in_a_graph_of_unknown_batch(
    index: Index, clusters: np.ndarray, near_items: np.ndarray
) -> None:
    of_any_batch = tf.function(
        index.search_allowed,
        input_signature=[
            tf.TensorSpec([None, clusters.shape[1]], tf.float32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([None, index.items], tf.bool),
        ],
    )
    queries = near_items[:4]
    allowed = np.ones([4, index.items], bool)
    allowed[1, 100:] = allowed[2, 2:] = allowed[3, :] = False

    ids, _ = of_any_batch(queries, K, allowed)

    wanted = plain_search(clusters, queries, allowed)
    assert ids.numpy()[1:].tolist() == wanted[1:]
    assert len({*ids.numpy()[0].tolist()} & {*wanted[0]}) >= 0.9 * K
    assert of_any_batch(queries[:1], 3, allowed[:1])[0].shape == (1, 3)
