"""Which items of a shard's baskets or sessions make pairs."""

from collections.abc import Iterator

import numpy as np

from tfrec.data.config import DataConfig, Pairs
from tfrec.data.cooccurrence import pairs_of_events
from tfrec.data.frequency import baskets_before
from tfrec.data.sessions import session_numbers
from tfrec.data.shard import Shard
from tfrec.data.splits import PARTS

Drawn = tuple[np.ndarray, np.ndarray]
"""Rows of the events of sources and of their targets, `[pairs]` each."""


def group_events(
    shard: Shard, part: str, config: DataConfig, pairs: Pairs, types: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Finds which events of a part are in one basket or session.

    Args:
      shard: events of whole shoppers.
      part: only its events are looked at.
      config: the `data` section.
      pairs: its `pairs` section.
      types: only events of these types; those that count as examples if none is given.

    Returns:
      The events' rows, ascending, and the numbers of their groups, from 0 on.
    """
    rows = np.flatnonzero((shard.parts == PARTS.index(part)) & shard.is_type(types))
    users, times = shard.numbers[rows], shard.times[rows]
    if pairs.within == "session":
        numbers = session_numbers(users, times, config.session_gap)
    else:
        numbers = baskets_before(users, times)
    begins = (np.diff(users, prepend=-1) != 0) | (np.diff(numbers, prepend=-1) != 0)
    return rows, np.cumsum(begins) - 1


def all_pairs(
    shard: Shard, part: str, config: DataConfig, pairs: Pairs, substitutes: np.ndarray
) -> Iterator[Drawn]:
    """All pairs of items of each basket or session of a part, a chunk at a time.

    Args:
      shard: events of whole shoppers.
      part: only its events are looked at.
      config: the `data` section.
      pairs: its `pairs` section.
      substitutes: `[items]`, the same number for items that do not go together; negative where
        that is not known.

    Yields:
      The first of each item's events in the group stands for the item. All pairs that have one
      event as their source come in one chunk.
    """
    rows, groups = group_events(shard, part, config, pairs, pairs.types)
    items = shard.item_rows[rows]
    times = shard.times[rows] if pairs.ordered else None
    for left, right in pairs_of_events(groups, items, pairs.max_group, times, config.seed):
        a, b = items[left], items[right]
        kept = (a != b) & ((substitutes[a] < 0) | (substitutes[a] != substitutes[b]))
        yield rows[left[kept]], rows[right[kept]]


def draw_pairs(
    shard: Shard,
    part: str,
    config: DataConfig,
    pairs: Pairs,
    substitutes: np.ndarray,
    random: np.random.Generator,
) -> Drawn:
    """Draws of all pairs at most `pairs.examples` of each source, as `all_pairs` takes arguments.

    A basket so counts as its number of items, not as the square of it.

    Returns:
      The pairs, in random order.
    """
    found = []
    for sources, targets in all_pairs(shard, part, config, pairs, substitutes):
        order = np.lexsort((random.random(len(sources)), sources))
        ordered = sources[order]
        drawn = np.arange(len(order)) - np.searchsorted(ordered, ordered) < pairs.examples
        found.append((ordered[drawn], targets[order[drawn]]))
    sources, targets = (np.concatenate(rows) for rows in zip(*found, strict=True))
    order = random.permutation(len(sources))
    return sources[order], targets[order]
