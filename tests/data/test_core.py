from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from tfrec.data.core import core, k_core, kept


def random_pairs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    events = random.integers(1, 150)
    users = np.sort(random.integers(25, size=events)).astype(np.int32)
    return users, np.minimum(random.geometric(0.1, size=events), 30)


def plain_core(events: set[int], users: list[int], items: list[int], k: int, m: int) -> set[int]:
    """Takes one event at a time away that must go, until none must."""
    while True:
        of_user = Counter(users[row] for row in events)
        of_item = Counter(items[row] for row in events)
        gone = [r for r in events if of_user[users[r]] < k or of_item[items[r]] < m]
        if not gone:
            return events
        events = events - {gone[0]}


@pytest.mark.parametrize("seed", range(40))
def test_core_equals_a_plain_recomputation(seed: int) -> None:
    users, items = random_pairs(seed)
    least = 1 + seed % 4, 1 + seed % 5

    mask = k_core(users, items, *least, iterate=True)

    expected = plain_core(set(range(len(users))), users.tolist(), items.tolist(), *least)
    assert set(np.flatnonzero(mask).tolist()) == expected


@pytest.mark.parametrize("iterate", [False, True])
def test_shards_of_whole_shoppers_have_the_core_of_the_log(iterate: bool) -> None:
    users, items = random_pairs(3)
    numbers = users % 4

    def shards() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for shard in range(5):  # the last one is empty
            yield users[numbers == shard] // 4, items[numbers == shard]

    item_ok, passes = core(shards, 40, 3, 4, iterate)

    whole = k_core(users, items, 3, 4, iterate)
    for shard, (own, rows) in enumerate(shards()):
        assert kept(own, rows, item_ok, 3).tolist() == whole[numbers == shard].tolist()
    assert item_ok.shape == (40,)
    assert (passes > 1) == iterate


def test_one_pass_leaves_items_that_fell_when_shoppers_did() -> None:
    # Item 2 is rare, so shopper 2 falls, and with it item 1.
    users = np.array([0, 0, 1, 1, 2, 2])
    items = np.array([0, 0, 0, 1, 1, 2])

    once = k_core(users, items, 2, 2, iterate=False)
    again = k_core(users, items, 2, 2, iterate=True)

    assert once.tolist() == [True, True, True, True, False, False]
    assert again.tolist() == [True, True, False, False, False, False]


def test_log_without_a_core_loses_everything() -> None:
    item_ok, _ = core(lambda: [(np.array([0, 1]), np.array([0, 1]))], 2, 2, 2, iterate=True)

    assert not item_ok.any()


def test_items_without_events_cost_no_second_pass() -> None:
    _, passes = core(lambda: [(np.array([0]), np.array([0]))], 100, 1, 1, iterate=True)

    assert passes == 1


def test_no_events_have_no_core() -> None:
    none = np.array([], int)

    assert len(k_core(none, none, 2, 2, iterate=True)) == 0
