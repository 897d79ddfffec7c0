"""Ranking the catalogue for every shopper of a window, and finding what of it is right."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.evaluation.config import NEW, Candidates, Protocol
from tfrec.evaluation.lists import Lists
from tfrec.evaluation.top import top, without_number
from tfrec.models.ranker import Ranker

_SCORE_BYTES = 128 << 20
_MOST_TOGETHER = 4096

Pairs = tuple[np.ndarray, np.ndarray]
"""Places of shoppers and catalogue rows, side by side."""


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
    seen = _keys(batch.seen, items) if name == NEW else nothing
    wanted = np.setdiff1d(_keys(batch.relevant, items), seen, assume_unique=True)
    if protocol.candidates.sampled is not None:
        allowed = np.zeros(scores.shape, bool)
        allowed[_draw(protocol.candidates, counts, shoppers, np.union1d(wanted, seen))] = True
        allowed.ravel()[wanted] = True
        scores = np.where(allowed, scores, -np.inf)
    with _without(scores, _pairs(seen, items)) as possible:
        ranked = top(possible, protocol.longest, shoppers, protocol.seed)
    found = _contains(wanted, ranked + np.arange(len(ranked))[:, np.newaxis] * items)
    return Lists(ranked.astype(np.int32), found & (ranked >= 0), _pairs(wanted, items))


def _draw(
    candidates: Candidates, counts: np.ndarray, shoppers: np.ndarray, barred: np.ndarray
) -> Pairs:
    """Draws items that are not barred for each shopper, none twice; fewer where fewer are left.

    Waiting times of rate w come first with chance w / sum of w, one after the other.
    """
    assert candidates.sampled is not None
    waits = np.empty([len(shoppers), len(counts)], np.float32)
    for wait, shopper in zip(waits, shoppers, strict=True):
        random = np.random.default_rng([candidates.seed, shopper])
        random.standard_exponential(dtype=np.float32, out=wait)
    if candidates.by == "popularity":
        with np.errstate(divide="ignore"):
            waits /= counts.astype(np.float32)
    waits.ravel()[barred] = np.inf
    first = np.argpartition(waits, candidates.sampled - 1, axis=1)[:, : candidates.sampled]
    rows, places = np.nonzero(np.isfinite(np.take_along_axis(waits, first, axis=1)))
    return rows, first[rows, places]


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


def _keys(pairs: Pairs, items: int) -> np.ndarray:
    """A number for each different pair, in order."""
    return np.unique(pairs[0] * items + pairs[1])


def _pairs(keys: np.ndarray, items: int) -> Pairs:
    return keys // items, keys % items


def _contains(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Whether each number is among the keys, which are in order."""
    if not len(keys):
        return np.zeros(wanted.shape, bool)
    return keys[np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)] == wanted


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
