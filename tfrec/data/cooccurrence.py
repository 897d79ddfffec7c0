"""Counting which items come together: in one basket, in one session, or in any other group."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tfrec.data.history import expand

_CHUNK = 1 << 22  # pairs in memory at once, before equal ones are added up


@dataclass(frozen=True)
class PairCounts:
    """In how many groups pairs of items come together.

    The pair of an item with itself counts the groups that hold the item: its support.

    Attributes:
      groups: number of groups.
      a: `[pairs]` int64 item rows, ascending.
      b: `[pairs]` int64 item rows, ascending for each `a`.
      counts: `[pairs]` int64, at least 1.
    """

    groups: int
    a: np.ndarray
    b: np.ndarray
    counts: np.ndarray


def count_pairs(
    groups: np.ndarray,
    items: np.ndarray,
    max_group: int,
    times: np.ndarray | None = None,
    seed: int = 0,
) -> PairCounts:
    """Counts the groups that hold both items of a pair.

    An item counts once in a group. Of a group with more than `max_group` distinct items a random
    sample of `max_group` stays; the others are left out of every count.

    Args:
      groups: `[events]` number of each event's group, from 0 on; in any order.
      items: `[events]` int64 item rows.
      max_group: the most items of a group that are paired, at least 1.
      times: `[events]`; if given, `(a, b)` counts the groups in which some event of `a` comes
        strictly before some event of `b`. Without, `(a, b)` and `(b, a)` count the same.
      seed: of the samples.

    Returns:
      The pairs that come together at least once.
    """
    width = int(items.max(initial=0)) + 1
    found = [
        np.unique(items[left].astype(np.int64) * width + items[right], return_counts=True)
        for left, right in pairs_of_events(groups, items, max_group, times, seed)
    ]
    pairs, counts = _add(found)
    return PairCounts(len(np.unique(groups)), pairs // width, pairs % width, counts)


def pairs_of_events(
    groups: np.ndarray,
    items: np.ndarray,
    max_group: int,
    times: np.ndarray | None = None,
    seed: int = 0,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs of items in each group, each item with itself too, a chunk at a time.

    Args:
      groups: as `count_pairs` takes them, and so are the others.
      items: `[events]`.
      max_group: of the pairs of a larger group, those of a sample.
      times: `[events]`, to let some event of the first item come before one of the second.
      seed: of the samples.

    Yields:
      The places of two events, `[pairs]` each. The first event of an item in its group stands for
      the item. All pairs that have one event first come in one chunk.
    """
    width = int(items.max(initial=0)) + 1
    codes = groups.astype(np.int64) * width + items
    members, events = np.unique(codes, return_index=True)
    sample = _sample(members // width, max_group, seed)
    spans = None
    if times is not None:
        first, last = _spans(codes, times)
        spans = first[sample], last[sample]
    events = events[sample]
    for left, right in _row_pairs(members[sample] // width, spans):
        yield events[left], events[right]


def _sample(groups: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Rows of at most `most` random members of each group, ascending as the groups are."""
    _, firsts, sizes = np.unique(groups, return_index=True, return_counts=True)
    large, _ = expand(firsts[sizes > most], (firsts + sizes)[sizes > most])
    keys = np.random.default_rng(seed).random(len(large)), groups[large]
    shuffled = large[np.lexsort(keys)]  # each group stays in its place
    ranks = large - np.searchsorted(groups, groups[large])
    return np.delete(np.arange(len(groups)), shuffled[ranks >= most])


def _spans(codes: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last time of each distinct code, in the codes' order."""
    order = np.lexsort((times, codes))
    _, starts = np.unique(codes[order], return_index=True)
    ends = np.r_[starts[1:], len(codes)][: len(starts)]
    return times[order[starts]], times[order[ends - 1]]


def _row_pairs(
    groups: np.ndarray, spans: tuple[np.ndarray, np.ndarray] | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs of rows of one group, each row with itself too, a chunk at a time."""
    starts, ends = np.searchsorted(groups, groups), np.searchsorted(groups, groups, "right")
    totals = np.cumsum(ends - starts)
    cuts = np.searchsorted(totals, np.arange(_CHUNK, totals[-1] if len(totals) else 0, _CHUNK))
    for rows in np.split(np.arange(len(groups)), cuts):
        left = np.repeat(rows, ends[rows] - starts[rows])
        right, _ = expand(starts[rows], ends[rows])
        if spans is not None:
            first, last = spans
            kept = (left == right) | (first[left] < last[right])
            left, right = left[kept], right[kept]
        yield left, right


def _add(found: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Adds up the counts of equal pairs."""
    pairs, counts = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(pairs, kind="stable")  # which is quick where parts are sorted already
    pairs = pairs[order]
    firsts = np.flatnonzero(np.diff(pairs, prepend=-1))
    return pairs[firsts], np.add.reduceat(counts[order], firsts)
