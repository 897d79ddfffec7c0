import numpy as np
import pytest
from candidate_lists import LENGTHS, WIDTH, random_lists, written

from tfrec.retrieval.index import NO_ITEM
from tfrec.retrieval.reranking import boost

AMOUNTS = np.random.default_rng(4).choice([-0.5, 0, 0.25], size=(len(LENGTHS), WIDTH))
AMOUNTS = AMOUNTS.astype(np.float32)


@pytest.mark.parametrize("k", [1, 5, WIDTH + 2])
def test_amounts_are_added_in_units_of_the_lists_spread(k: int) -> None:
    lists = random_lists()

    rows, scores = (values.numpy() for values in boost(*lists, AMOUNTS, k))

    for number, (items, given) in enumerate(zip(*lists, strict=True)):
        there = items != NO_ITEM
        spread = np.ptp(given[there]) if there.sum() > 1 else 1
        new = [
            score + amount * spread for score, amount in zip(given, AMOUNTS[number], strict=True)
        ]
        order = sorted(np.flatnonzero(there), key=lambda column: -new[column])[:k]
        rest = k - len(order)
        assert rows[number].tolist() == [*items[order], *[NO_ITEM] * rest]
        wanted = [*(new[column] for column in order), *[-np.inf] * rest]
        np.testing.assert_allclose(scores[number], wanted, rtol=1e-5, atol=1e-6)


def test_amounts_decide_between_equal_scores() -> None:
    lists = written([[1, 2, 3]], [[-7, -7, -7]])

    rows, scores = boost(*lists, np.array([[0, 0.5, -1]], np.float32), 3)

    assert rows.numpy().tolist() == [[2, 1, 3]]
    assert scores.numpy().tolist() == [[-6.5, -7, -8]]


def test_same_amounts_suit_scores_of_any_scale_and_sign() -> None:
    rows, scores = random_lists()

    expected, _ = boost(rows, scores, AMOUNTS, 8)
    found, _ = boost(rows, 64 * scores - 1024, AMOUNTS, 8)

    assert found.numpy().tolist() == expected.numpy().tolist()
