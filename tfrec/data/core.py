"""The k-core of a log: its shoppers and items with enough events among one another.

The log is read shard by shard, each of whole shoppers. So an item's events can be counted only over
all shards, while a shopper's can always be counted in the shard at hand: what is left of a shard
follows from the items that are left.

Source: Seidman, Network Structure and Minimum Degree (Social Networks, 1983), with each event as an
edge between a shopper and an item.
"""

from collections.abc import Callable, Iterable

import numpy as np

Shards = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]


def core(
    shards: Shards, items: int, min_user: int, min_item: int, iterate: bool
) -> tuple[np.ndarray, int]:
    """Finds the items of the core in as many passes over the shards as it takes.

    A pass counts the items' events of those shoppers who still reach their minimum, and drops items
    that do not reach theirs. That can make more shoppers fall below their minimum, and so items
    again; passes are repeated until nothing falls. Memory is that of one shard and of the items.

    Args:
      shards: begins a pass; gives `(users, items)` as `kept` takes them, shard by shard.
      items: rows of the catalogue.
      min_user: the fewest events of a shopper.
      min_item: the fewest events of an item.
      iterate: whether to repeat the pass until both minimums hold everywhere.

    Returns:
      `[items]` bool, the items that are left, for `kept`; and the number of passes.
    """
    item_ok = np.ones(items, bool)
    passes = 0
    while True:
        counts = np.zeros(items, np.int64)
        for users, rows in shards():
            counts += np.bincount(rows[kept(users, rows, item_ok, min_user)], minlength=items)
        passes += 1
        item_ok = counts >= min_item
        if not iterate or not counts[~item_ok].any():
            return item_ok, passes


def kept(users: np.ndarray, items: np.ndarray, item_ok: np.ndarray, min_user: int) -> np.ndarray:
    """Marks the events that are left of a shard.

    Args:
      users: `[events]`, the shoppers as whole numbers from 0 on, each with all of the events.
      items: `[events]` item rows.
      item_ok: `[items]` bool, the items that are left.
      min_user: the fewest events on such items of a shopper who stays.

    Returns:
      `[events]` bool.
    """
    ok = item_ok[items]
    counts = np.bincount(users[ok], minlength=users.max(initial=0) + 1)
    return ok & (counts[users] >= min_user)


def k_core(
    users: np.ndarray, items: np.ndarray, min_user: int, min_item: int, iterate: bool
) -> np.ndarray:
    """Marks the events of the core of a log in memory.

    Args:
      users: `[events]`, the shoppers as whole numbers from 0 on.
      items: `[events]` item rows.
      min_user: the fewest events of a shopper.
      min_item: the fewest events of an item.
      iterate: whether to go on until both minimums hold everywhere.

    Returns:
      `[events]` bool.
    """
    rows = int(items.max(initial=-1)) + 1
    item_ok, _ = core(lambda: [(users, items)], rows, min_user, min_item, iterate)
    return kept(users, items, item_ok, min_user)
