import numpy as np
import pytest
from candidate_lists import ITEMS, LENGTHS, WIDTH, check, random_lists, written

from tfrec.retrieval.index import NO_ITEM
from tfrec.retrieval.reranking import pin

NONE = np.zeros((1, 0), np.int64), np.zeros((1, 0), np.int32)


def plain_pin(items: list[int], pinned: list[tuple[int, int]]) -> list[int]:
    """Inserts `(place, item)` one after the other, from the top down."""
    new = [item for item in items if item not in [row for _, row in pinned]]
    lowest = 0
    for place, row in sorted(pinned, key=lambda one: one[0]):
        lowest = max(place, lowest + 1)
        new.insert(lowest - 1, row)
    return new


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("k", [3, WIDTH + 8])
def test_pinned_items_have_their_places_and_others_keep_their_order(seed: int, k: int) -> None:
    random, lists = np.random.default_rng(seed), random_lists(seed)
    pinned = np.stack([random.permutation(ITEMS)[:4] for _ in LENGTHS])
    pinned[:2, :2] = lists[0][:2, [3, 6]]
    pinned[random.random(pinned.shape) < 0.2] = NO_ITEM
    places = random.integers(1, 8, pinned.shape).astype(np.int32)

    rows, scores = (values.numpy() for values in pin(*lists, pinned, places, k))

    for number in range(len(LENGTHS)):
        known = dict(zip(*(values[number].tolist() for values in lists), strict=True))
        there = [
            (p, row) for p, row in zip(places[number], pinned[number], strict=True) if row >= 0
        ]
        new = plain_pin([row for row in known if row >= 0], there)[:k]
        assert rows[number].tolist() == [*new, *[NO_ITEM] * (k - len(new))]
        assert scores[number].tolist() == [known.get(row, -np.inf) for row in rows[number]]


def test_second_of_two_in_the_same_place_goes_behind_the_first() -> None:
    lists = written([[1, 2, 3, 4]], [[4, 3, 2, 1]])

    rows, _ = pin(*lists, np.array([[8, 9, 4]]), np.array([[2, 2, 2]], np.int32), 6)

    assert rows.numpy().tolist() == [[1, 8, 9, 4, 2, 3]]


def test_item_pinned_below_a_short_list_goes_behind_it() -> None:
    lists = written([[1, NO_ITEM], [NO_ITEM, NO_ITEM]], [[1, -np.inf], [-np.inf, -np.inf]])

    rows, _ = pin(*lists, np.array([[7], [7]]), np.array([[4], [4]], np.int32), 5)

    assert rows.numpy().tolist() == [[1, 7, *[NO_ITEM] * 3], [7, *[NO_ITEM] * 4]]


def test_nothing_pinned_only_cuts() -> None:
    lists = random_lists()
    nothing = [np.repeat(values, len(LENGTHS), 0) for values in NONE]

    check(pin(*lists, *nothing, 5), lists, 5, lambda _, columns, scores: columns)
