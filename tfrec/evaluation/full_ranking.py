"""Ranking the catalogue for every shopper of a window, and finding what of it is right."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.evaluation.config import NEW, Protocol
from tfrec.evaluation.lists import Lists
from tfrec.evaluation.pairs import Pairs, contains, keys_of, pairs_of
from tfrec.evaluation.sampling import sample
from tfrec.evaluation.top import top, without_number
from tfrec.models.ranker import Ranker

_SCORE_BYTES = 128 << 20
_MOST_TOGETHER = 4096


def rank(
    ranker: Ranker,
    queries: QuerySet,
    counts: np.ndarray,
    protocol: Protocol,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Lists]:
    """Recommends to every shopper, and compares with what they did next.

    Scores of a batch of shoppers take about 128 MB of memory, however many items there are, and as
    much again where items are excluded. What stays of a shopper is one list of the protocol's
    longest cut-off for each of its rankings.

    Args:
      ranker: what to measure.
      queries: the shoppers of the window.
      counts: `[items]` training events of each item.
      protocol: what is ranked, and how far down.
      progress: hears how many shoppers are done.

    Returns:
      `all`, `new_to_shopper` or both -> a list for each shopper.

    Raises:
      UserError: if a cut-off is longer than the catalogue, or more items are to be sampled than
        it has.
      ValueError: if a score is NaN, or scores are of another shape than shoppers and items.
    """
    _check_lengths(protocol, counts)
    parts: dict[str, list[Lists]] = {name: [] for name in protocol.rankings}
    size = min(max(_SCORE_BYTES // (4 * len(counts)), 1), _MOST_TOGETHER)
    done = 0
    for batch in queries.batches(size):
        scores = ranker.scores(batch)
        _check_scores(scores, (len(batch), len(counts)), type(ranker).__name__, batch, done)
        shoppers = np.arange(done, done + len(batch))
        for name, ranking in parts.items():
            ranking.append(_recommend(name, scores, batch, shoppers, counts, protocol))
        done += len(batch)
        progress(done)
    return {name: Lists.join(ranking) for name, ranking in parts.items()}


def _recommend(
    name: str,
    scores: np.ndarray,
    batch: QuerySet,
    shoppers: np.ndarray,
    counts: np.ndarray,
    protocol: Protocol,
) -> Lists:
    items, nothing = len(counts), np.zeros(0, np.int64)
    seen = keys_of(batch.seen, items) if name == NEW else nothing
    wanted = np.setdiff1d(keys_of(batch.relevant, items), seen, assume_unique=True)
    if protocol.candidates.sampled is None:
        with _without(scores, pairs_of(seen, items)) as possible:
            ranked = top(possible, protocol.longest, shoppers, protocol.seed)
    else:
        drawn = sample(protocol.candidates, counts, shoppers, np.union1d(wanted, seen))
        among = np.union1d(wanted, drawn[0] * items + drawn[1])
        ranked = _rank_some(scores, pairs_of(among, items), shoppers, protocol)
    found = contains(wanted, ranked + np.arange(len(ranked))[:, np.newaxis] * items)
    return Lists(ranked.astype(np.int32), found & (ranked >= 0), pairs_of(wanted, items))


def _rank_some(
    scores: np.ndarray, pairs: Pairs, shoppers: np.ndarray, protocol: Protocol
) -> np.ndarray:
    """The best of some items for each shopper, given in order: `[shoppers, longest]`."""
    rows, items = pairs
    counts = np.bincount(rows, minlength=len(scores))
    places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = len(scores), max(counts.max(initial=0), protocol.longest)
    given, held = np.full(shape, -np.inf, scores.dtype), np.zeros(shape, np.int64)
    given[rows, places], held[rows, places] = scores[rows, items], items
    ranked = top(given, protocol.longest, shoppers, protocol.seed)
    return np.where(ranked >= 0, np.take_along_axis(held, ranked, axis=1), -1)


@contextmanager
def _without(scores: np.ndarray, pairs: Pairs) -> Iterator[np.ndarray]:
    """Scores in which some pairs are never recommended, in the same memory where it is ours."""
    if not len(pairs[0]):
        yield scores
        return
    if not scores.flags.writeable:
        scores = scores.copy()
    kept = scores[pairs]
    scores[pairs] = -np.inf
    try:
        yield scores
    finally:
        scores[pairs] = kept


def _check_lengths(protocol: Protocol, counts: np.ndarray) -> None:
    if protocol.longest > len(counts):
        raise UserError(
            f"evaluation.k: {protocol.longest} is more than the {len(counts)} items of the "
            "catalogue; lower it"
        )
    drawn = protocol.candidates.sampled
    possible = len(counts)
    if protocol.candidates.by == "popularity":
        possible = np.count_nonzero(counts)
    if drawn is not None and drawn > possible:
        raise UserError(
            f"evaluation.candidates.sampled: {drawn} is more than the {possible} items that can "
            "be drawn; lower it, or write candidates: full"
        )


def _check_scores(
    scores: np.ndarray, shape: tuple[int, int], ranker: str, batch: QuerySet, first: int
) -> None:
    if scores.shape != shape:
        raise ValueError(f"{ranker} gives scores of shape {scores.shape} instead of {shape}")
    bad = without_number(scores)
    if len(bad):
        users = [batch.users[row] for row in bad[:3]]
        raise ValueError(
            f"{ranker} scores NaN for {len(bad)} of the shoppers {first} to "
            f"{first + len(batch) - 1}, such as {users}"
        )
