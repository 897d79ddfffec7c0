from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tfrec.retrieval.brute_force import BruteForce
from tfrec.retrieval.chunked_flat import ChunkedFlat
from tfrec.retrieval.index import NO_ITEM, Index
from tfrec.retrieval.partitioned import Partitioned
from tfrec.retrieval.partitioned_flat import PartitionedFlat
from tfrec.retrieval.scann_index import Scann

ITEMS, DIM, QUERIES = 40, 6, 9
KINDS = [BruteForce, Partitioned, ChunkedFlat, PartitionedFlat, Scann]


@pytest.fixture(scope="module")
def embeddings() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ITEMS, DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(QUERIES, DIM)).astype(np.float32)


@pytest.fixture(scope="module", params=KINDS)
def index(embeddings: np.ndarray, request: pytest.FixtureRequest) -> Index:
    return request.param(embeddings)


def exclusions(*lists: list[int]) -> tf.Tensor:
    width = max(map(len, lists))
    padded = [[*rows, *[NO_ITEM] * (width - len(rows))] for rows in lists]
    return tf.constant(padded, tf.int64)


def plain_search(
    embeddings: np.ndarray, query: np.ndarray, k: int, exclude: list[int]
) -> list[int]:
    scores = embeddings @ query
    order = sorted(range(len(embeddings)), key=lambda item: -scores[item])
    return [item for item in order if item not in exclude][:k]


@pytest.mark.parametrize("k", [1, 7, ITEMS])
def test_best_items_are_found_best_first_with_their_dot_products(
    index: Index, embeddings: np.ndarray, queries: np.ndarray, k: int
) -> None:
    ids, scores = index.search(tf.constant(queries), k)

    assert (ids.dtype, scores.dtype) == (tf.int64, tf.float32)
    expected = [plain_search(embeddings, query, k, []) for query in queries]
    assert ids.numpy().tolist() == expected
    for query, items, found in zip(queries, expected, scores.numpy(), strict=True):
        np.testing.assert_allclose(found, embeddings[items] @ query, rtol=1e-4, atol=1e-5)


def test_excluded_items_are_never_returned_and_the_next_best_are(
    index: Index, embeddings: np.ndarray, queries: np.ndarray
) -> None:
    random = np.random.default_rng(2)
    banned = [random.choice(ITEMS, size, replace=False).tolist() for size in range(QUERIES)]
    banned[4] = plain_search(embeddings, queries[4], 4, [])

    ids, scores = index.search(tf.constant(queries), 5, exclusions(*banned))

    expected = [
        plain_search(embeddings, query, 5, out) for query, out in zip(queries, banned, strict=True)
    ]
    assert ids.numpy().tolist() == expected
    assert np.isfinite(scores.numpy()).all()


def test_item_excluded_twice_takes_one_place(index: Index, queries: np.ndarray) -> None:
    once = index.search(tf.constant(queries[:1]), 6, exclusions([3]))

    twice = index.search(tf.constant(queries[:1]), 6, exclusions([3, 3, NO_ITEM, 3]))

    assert twice[0].numpy().tolist() == once[0].numpy().tolist()


def test_nothing_to_exclude_changes_nothing(index: Index, queries: np.ndarray) -> None:
    plain, _ = index.search(tf.constant(queries), 5)

    for exclude in (tf.zeros([QUERIES, 0], tf.int64), exclusions(*[[NO_ITEM]] * QUERIES)):
        ids, _ = index.search(tf.constant(queries), 5, exclude)
        assert ids.numpy().tolist() == plain.numpy().tolist()


def test_list_that_exclusions_leave_short_is_filled_up_with_no_item(
    index: Index, embeddings: np.ndarray, queries: np.ndarray
) -> None:
    banned = list(range(3, ITEMS))

    ids, scores = index.search(tf.constant(queries[:2]), 5, exclusions(banned, []))

    left = plain_search(embeddings, queries[0], 5, banned)
    assert len(left) == 3
    assert ids.numpy()[0].tolist() == [*left, NO_ITEM, NO_ITEM]
    assert np.isfinite(scores.numpy()[0, :3]).all()
    assert (scores.numpy()[0, 3:] == -np.inf).all()
    assert ids.numpy()[1].tolist() == plain_search(embeddings, queries[1], 5, [])


def test_search_in_a_graph_takes_k_and_exclusions_as_tensors(
    index: Index, embeddings: np.ndarray, queries: np.ndarray
) -> None:
    search: Callable[..., tuple[tf.Tensor, tf.Tensor]] = tf.function(
        index.search,
        input_signature=[
            tf.TensorSpec([None, DIM], tf.float32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([None, None], tf.int64),
        ],
    )

    for k in (2, 4):
        ids, _ = search(queries[:1], k, exclusions([0, 1, 2]))
        assert ids.numpy().tolist() == [plain_search(embeddings, queries[0], k, [0, 1, 2])]


@pytest.mark.parametrize("kind", KINDS)
def test_catalogue_of_one_item_is_searched(kind: type[Index], queries: np.ndarray) -> None:
    index = kind(np.ones([1, DIM], np.float32))

    assert index.search(tf.constant(queries), 1)[0].numpy().tolist() == [[0]] * QUERIES
    assert index.search(tf.constant(queries[:1]), 1, exclusions([0]))[0].numpy() == NO_ITEM
