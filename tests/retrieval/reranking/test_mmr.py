import numpy as np
import pytest
import tensorflow as tf
from candidate_lists import LENGTHS, WIDTH, check, random_lists, relevance, written

from tfrec.retrieval.index import NO_ITEM
from tfrec.retrieval.reranking import mmr

VECTORS = np.random.default_rng(1).normal(size=(len(LENGTHS), WIDTH, 3)).astype(np.float32)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def plain_mmr(
    vectors: np.ndarray, trade_off: float, columns: list[int], scores: list[float]
) -> list[int]:
    relevant = dict(zip(columns, relevance(scores), strict=True))
    chosen: list[int] = []

    def worth(column: int) -> float:
        nearest = max((cosine(vectors[column], vectors[one]) for one in chosen), default=0)
        return trade_off * relevant[column] - (1 - trade_off) * nearest

    while len(chosen) < len(columns):
        chosen.append(max((one for one in columns if one not in chosen), key=worth))
    return chosen


@pytest.mark.parametrize("k", [1, 5, WIDTH, WIDTH + 3])
@pytest.mark.parametrize("trade_off", [0.0, 0.3, 0.7])
def test_each_place_goes_to_the_most_relevant_of_what_is_unlike_the_places_before(
    trade_off: float, k: int
) -> None:
    lists = random_lists()

    found = mmr(*lists, VECTORS, trade_off, k)

    check(found, lists, k, lambda number, *items: plain_mmr(VECTORS[number], trade_off, *items))


def test_relevance_alone_keeps_the_order_of_scores() -> None:
    lists = random_lists()

    check(mmr(*lists, VECTORS, 1.0, 9), lists, 9, lambda _, columns, scores: columns)


def test_copy_of_the_best_item_goes_last() -> None:
    lists = written([[5, 6, 7]], [[3.0, 2.9, 1.0]])
    vectors = np.array([[[1, 0], [2, 0], [-0.2, 1]]], np.float32)

    rows, _ = mmr(*lists, vectors, 0.4, 3)

    assert rows.numpy().tolist() == [[5, 7, 6]]


def test_scale_of_the_scores_does_not_matter() -> None:
    rows, scores = random_lists()

    small, _ = mmr(rows, scores, VECTORS, 0.5, 8)
    large, _ = mmr(rows, 64 * scores - 1024, VECTORS, 0.5, 8)

    assert small.numpy().tolist() == large.numpy().tolist()


def test_vectors_of_no_length_are_unlike_everything() -> None:
    lists = random_lists()
    vectors = np.zeros_like(VECTORS)

    check(mmr(*lists, vectors, 0.5, 6), lists, 6, lambda _, columns, scores: columns)


def test_batch_without_any_item_stays_empty() -> None:
    nothing = written([[NO_ITEM] * 3] * 2, [[-np.inf] * 3] * 2)

    for lists, vectors in ((nothing, VECTORS[:2, :3]), (written([[]], [[]]), VECTORS[:1, :0])):
        rows, scores = mmr(*lists, vectors, 0.5, 2)
        assert rows.numpy().tolist() == [[NO_ITEM] * 2] * len(lists[0])
        assert np.isneginf(scores.numpy()).all()


def test_empty_batch_stays_empty() -> None:
    rows, scores = mmr(tf.zeros([0, 3], tf.int64), tf.zeros([0, 3]), tf.zeros([0, 3, 2]), 0.5, 2)

    assert rows.shape == scores.shape == (0, 2)
