"""What indexes with partitions have in common."""

import numpy as np
import pytest
import tensorflow as tf
from index_graphs import search

from tfrec.errors import UserError
from tfrec.retrieval.chunked_flat import ChunkedFlat
from tfrec.retrieval.index import NO_ITEM
from tfrec.retrieval.partitioned import Partitioned
from tfrec.retrieval.partitioned_flat import PartitionedFlat
from tfrec.retrieval.probing import ProbingIndex
from tfrec.retrieval.scann_index import Scann

K, ASKING = 20, 3000
KINDS = [Partitioned, ChunkedFlat, PartitionedFlat, Scann]


@pytest.fixture(params=["partitioned", "chunked_flat", "partitioned_flat", "scann"])
def index(request: pytest.FixtureRequest) -> ProbingIndex:
    return request.getfixturevalue(request.param)


def plain_recall(found: tf.Tensor, vectors: np.ndarray, queries: np.ndarray) -> float:
    wanted = np.argsort(-queries @ vectors.T, axis=1)[:, :K]
    pairs = zip(found.numpy().tolist(), wanted.tolist(), strict=True)
    return float(np.mean([len(set(f) & set(w)) / K for f, w in pairs]))


def test_there_are_about_twice_as_many_partitions_as_the_root_of_the_items(
    index: ProbingIndex,
) -> None:
    assert index.partitions == 2 * 128


def test_few_partitions_hold_most_of_what_is_nearest_and_more_hold_more(
    index: ProbingIndex, clusters: np.ndarray, near_items: np.ndarray
) -> None:
    recalls = []
    for probed in (1, 4, 16):
        index.probe([(K, probed)], rescored=8)
        found, _ = search(index, near_items, K)
        recalls.append(plain_recall(found, clusters, near_items))

    assert recalls == sorted(recalls)
    assert 0.5 < recalls[0] < recalls[-1]
    assert recalls[-1] > 0.97


def test_scores_are_dot_products_best_first(
    index: ProbingIndex, clusters: np.ndarray, near_items: np.ndarray
) -> None:
    index.probe([(K, 4)], rescored=2)

    ids, scores = search(index, near_items, K)

    expected = np.einsum("qd,qkd->qk", near_items, clusters[ids.numpy()])
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_length_of_the_list_says_how_many_partitions_are_searched(
    index: ProbingIndex, near_items: np.ndarray
) -> None:
    def rows(numbers: list[tuple[int, int]], k: int) -> list[list[int]]:
        index.probe(numbers, rescored=2)
        return search(index, near_items, k)[0].numpy().tolist()

    numbers = [(10, 1), (40, 12)]

    assert rows([(1, 1)], 20) != rows([(1, 12)], 20)
    assert rows(numbers, 10) == rows([(1, 1)], 10)
    assert rows(numbers, 11) == rows([(1, 12)], 11)
    assert rows(numbers, 40) == rows([(1, 12)], 40)
    assert rows(numbers, 60) == rows([(1, 12)], 60)


def test_lists_longer_than_all_that_are_known_look_at_everything(
    clusters: np.ndarray, near_items: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfrec.retrieval.probing._LONGEST", 100)
    items = clusters[:2000]
    index = Partitioned(items, partitions=30)
    index.probe([(K, 1)], rescored=1)

    for k, everything in ((100, False), (101, True)):
        found, _ = search(index, near_items, k)
        assert (plain_recall(found, items, near_items) == 1) is everything


@pytest.mark.parametrize("batch", [0, 1, 15, 16, 17, 63, 64, 65, 200])
def test_a_query_finds_the_same_among_any_number_of_others(
    index: ProbingIndex, near_items: np.ndarray, batch: int
) -> None:
    index.probe([(K, 6)], rescored=2)
    queries = np.tile(near_items, (2, 1))[:batch]

    ids, scores = search(index, queries, K)

    assert ids.shape == scores.shape == (batch, K)
    shares = []
    for query in range(0, batch, 3):
        alone, alone_scores = search(index, queries[[query]], K)
        shares.append(np.isin(alone[0], ids[query]).mean())
        if shares[-1] == 1:
            np.testing.assert_allclose(scores[query], alone_scores[0], rtol=1e-5)
    # ScaNN rounds otherwise for many queries: what it just leaves out may be another item.
    assert np.mean(shares or 1) >= (0.9 if isinstance(index, Scann) else 1)


def test_without_being_told_all_partitions_are_searched(
    clusters: np.ndarray, near_items: np.ndarray
) -> None:
    index = Partitioned(clusters[:2000], partitions=30)

    found, _ = search(index, near_items, K)

    assert plain_recall(found, clusters[:2000], near_items) == 1


def test_excluded_items_are_not_returned_and_the_next_best_are(
    index: ProbingIndex, clusters: np.ndarray, near_items: np.ndarray
) -> None:
    index.probe([(2 * K, 16)], rescored=8)
    order = np.argsort(-near_items @ clusters.T, axis=1)
    banned = order[:, :10]

    found = search(index, near_items, K, tf.constant(banned))[0].numpy()

    assert not (found[:, :, np.newaxis] == banned[:, np.newaxis]).any()
    wanted = order[:, 10 : 10 + K]
    assert (found[:, :, np.newaxis] == wanted[:, np.newaxis]).any(2).mean() > 0.95


@pytest.mark.parametrize("k", [100, 5000])
@pytest.mark.parametrize("banned", [0, 30])
def test_lists_are_full_however_few_partitions_are_probed(
    index: ProbingIndex, near_items: np.ndarray, k: int, banned: int
) -> None:
    index.probe([(k, 1)], rescored=1)
    exclude = np.tile(np.arange(banned), [len(near_items), 1]) if banned else None

    ids, scores = search(index, near_items, k, exclude)

    assert ids.shape == scores.shape == (len(near_items), k)
    assert all(len(set(row)) == k for row in ids.numpy().tolist())
    assert ids.numpy().min() >= banned
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("excluded", [False, True])
def test_list_that_the_probed_partitions_do_not_fill_ends_in_no_item(
    index: ProbingIndex, clusters: np.ndarray, excluded: bool
) -> None:
    index.probe([(1, 1)], rescored=1)
    # Items ask for items like them; the partitions of some hold fewer than wanted.
    queries = clusters[:ASKING]
    exclude = np.arange(ASKING)[:, np.newaxis] if excluded else None
    k = 15 if excluded else 16

    ids, scores = search(index, queries, k, exclude)

    assert ids.shape == scores.shape == (ASKING, k)
    found = ids.numpy() != NO_ITEM
    assert 0 < np.count_nonzero(~found.all(axis=1)) < ASKING / 10
    assert (found[:, :-1] >= found[:, 1:]).all()
    assert (np.isfinite(scores) == found).all()


def test_short_list_of_a_single_query_is_as_long_as_asked_for_too(
    index: ProbingIndex, clusters: np.ndarray
) -> None:
    index.probe([(1, 1)], rescored=1)
    ids, _ = search(index, clusters[:ASKING], 16)
    short = np.flatnonzero(ids.numpy()[:, -1] == NO_ITEM)[:8]

    alone = [search(index, clusters[[row]], 16) for row in short]
    shorter = [search(index, clusters[[row]], 13, np.array([[0, 1, 2]])) for row in short]

    assert {(*rows.shape, *scores.shape) for rows, scores in alone} == {(1, 16, 1, 16)}
    assert any(NO_ITEM in rows.numpy() for rows, _ in alone)
    assert {(*rows.shape, *scores.shape) for rows, scores in shorter} == {(1, 13, 1, 13)}


def test_as_many_as_there_are_returns_every_item_once(
    index: ProbingIndex, near_items: np.ndarray
) -> None:
    index.probe([(1, 1)], rescored=1)

    ids, scores = search(index, near_items[:3], index.items)

    assert np.sort(ids, axis=1).tolist() == [list(range(index.items))] * 3
    assert np.isfinite(scores).all()


def test_queries_of_another_dimension_are_refused(
    index: ProbingIndex, near_items: np.ndarray
) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        index.search(tf.constant(near_items[:, 1:]), K)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused_with_the_first_row(
    kind: type[ProbingIndex], value: float
) -> None:
    vectors = np.ones([20, 4], np.float32)
    vectors[[7, 12], 3] = value

    with pytest.raises(UserError, match=r"2 item vectors are not finite, the first in row 7; "):
        kind(vectors)


@pytest.mark.parametrize("kind", KINDS)
def test_empty_catalogue_is_refused(kind: type[ProbingIndex]) -> None:
    with pytest.raises(UserError, match=r"data\.items: the catalogue is empty"):
        kind(np.zeros([0, 4], np.float32))
