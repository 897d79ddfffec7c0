"""Choosing an index that keeps a promise, and how many of its partitions it has to search."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tfrec.errors import UserError
from tfrec.retrieval.brute_force import BruteForce
from tfrec.retrieval.chunked import Chunked
from tfrec.retrieval.chunked_flat import ChunkedFlat
from tfrec.retrieval.config import IndexConfig, Kind, Promise
from tfrec.retrieval.index import Index
from tfrec.retrieval.measure import (
    Search,
    first_items,
    measure_latency,
    measure_memory,
    measure_recall,
    traced,
)
from tfrec.retrieval.partitioned import Partitioned
from tfrec.retrieval.partitioned_flat import PartitionedFlat
from tfrec.retrieval.probing import ProbingIndex
from tfrec.retrieval.scann_index import SMALLEST_PARTITIONED, Scann

_RESCORED: dict[type[ProbingIndex], tuple[float, ...]] = {
    Partitioned: (1.2, 2.0),
    Scann: (2.0, 4.0, 8.0),
}
AT_ONCE_UP_TO = 2**18
"""Items up to which stock operations search for all queries at once: measured, 64 floats each."""

_FEWEST_SHARE = 0.002
_FACTOR = 1.4
_LEAST_GAIN, _LEAST_SHARE = 0.002, 0.05
_LONGER = (4, 16)
_LONG_QUERIES = 256
_CLOSE = 0.05
_TOGETHER = 64
_FINALISTS, _TURNS = 6, 5
_SPARE = 1.25
_FARTHEST, _HALVINGS = 4.0, 8


class Measurement(NamedTuple):
    """One way to set an index, and what came of it.

    Attributes:
      kind: of the index.
      partitions: how many it has.
      setting: what else it was built with, for people.
      probed: partitions that are searched.
      rescored: items scored exactly, as a multiple of `k`.
      recall: share of the exact first `k` items found.
      milliseconds: median time of a search for one query.
      milliseconds_together: the same of one of 64 queries that are asked together.
      megabytes: memory that it takes.
      reach: how far behind the nearest partition others are searched, as `Chunked.prune` says;
        none where all of `probed` are.
    """

    kind: Kind
    partitions: int
    setting: str
    probed: int
    rescored: float
    recall: float
    milliseconds: float
    milliseconds_together: float
    megabytes: float
    reach: float | None = None


class Tuned(NamedTuple):
    """An index that keeps its promise.

    Attributes:
      index: set as was chosen.
      chosen: what it was measured to do.
      measured: everything that was tried.
    """

    index: Index
    chosen: Measurement
    measured: tuple[Measurement, ...]


def choose_kind(config: IndexConfig, items: int) -> Kind:
    """Says which index a config means for a catalogue of so many items."""
    if config.kind != "auto":
        return config.kind
    if items < SMALLEST_PARTITIONED:
        return "brute_force"
    return "scann" if config.runs_on == "tfrec" else "partitioned"


def tune(
    kind: Kind,
    embeddings: np.ndarray,
    queries: np.ndarray,
    promise: Promise,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Tuned:
    """Builds indexes of one kind and finds the fastest setting that keeps a promise.

    Of each index the fewest partitions are sought that reach the recall, for several numbers of
    items scored exactly. A `Chunked` takes a quarter more, and leaves out what is farthest
    behind instead. Both are then sought for longer lists too, up to 16 times `promise.k`, which
    filters make necessary.

    Args:
      kind: of the index.
      embeddings: `[items, dim]` float32.
      queries: `[n, dim]` vectors of real queries.
      promise: what to keep.
      progress: hears what is built, how many are done, and how many there are.

    Returns:
      The index, and all measurements.

    Raises:
      UserError: if no setting keeps the promise, or the vectors cannot be indexed.
    """
    k = min(promise.k, len(embeddings))
    exact_index = BruteForce(embeddings)
    exact = traced(exact_index, embeddings.shape[1])
    asked = _Asked(queries, embeddings, {k: first_items(exact, queries, k)})
    if kind == "brute_force":
        only = asked.measure(exact_index, exact, kind, "", k)
        return Tuned(exact_index, _kept([only], promise), (only,))
    builds = list(_builds(kind, embeddings))
    indexes: dict[Measurement, ProbingIndex] = {}
    for number, (setting, build) in enumerate(builds):
        progress(setting, number, len(builds))
        index = build()
        indexes |= dict.fromkeys(_tried(index, kind, setting, asked, k, promise.recall), index)
    timed = _timed_in_turns(indexes, asked, k, promise)
    measured = tuple(timed.get(one, one) for one in indexes)
    # Times of before are not compared with those of the turns: the machine may be slower now.
    chosen = _kept([*timed.values()] or measured, promise)
    index = {timed[one]: indexes[one] for one in timed}[chosen]
    _set_lengths(index, exact, asked, chosen, k, promise.recall)
    return Tuned(index, chosen, measured)


def pareto_front(measured: Sequence[Measurement]) -> list[Measurement]:
    """Those that no other one beats in both recall and time, fastest first."""
    front: list[Measurement] = []
    for one in sorted(measured, key=lambda m: (m.milliseconds, -m.recall)):
        if not front or one.recall > front[-1].recall:
            front.append(one)
    return front


def _builds(kind: Kind, embeddings: np.ndarray) -> Iterator[tuple[str, Callable[[], ProbingIndex]]]:
    """Ways to build an index: a name for people, and what builds it."""
    some, many = (8 * math.ceil(times * math.sqrt(len(embeddings)) / 8) for times in (2, 4))
    if kind == "partitioned":
        flat = PartitionedFlat if len(embeddings) <= AT_ONCE_UP_TO else ChunkedFlat
        for partitions in (some, many):
            build = functools.partial(flat, embeddings, partitions)
            yield f"{partitions:,} partitions of vectors", build
        for copies in (1, 2) if flat is ChunkedFlat else ():
            build = functools.partial(Partitioned, embeddings, many, copies)
            yield f"{many:,} partitions of codes, items in {copies}", build
    elif len(embeddings) < SMALLEST_PARTITIONED:
        yield "scored whole", functools.partial(Scann, embeddings)
    else:
        for partitions, threshold in ((some, 0.2), (many, 0.2), (many, math.nan)):
            name = "isotropic" if math.isnan(threshold) else f"anisotropic above {threshold}"
            build = functools.partial(Scann, embeddings, partitions, threshold)
            yield f"{partitions:,} partitions, {name}", build


@dataclass(frozen=True)
class _Asked:
    """Queries, what they ask for, and the exact first items of each: `k` -> `[queries, k]`."""

    queries: np.ndarray
    embeddings: np.ndarray
    exact: dict[int, np.ndarray]

    def recall(self, search: Search, k: int) -> float:
        found = first_items(search, self.queries, k)
        return measure_recall(found, self.exact[k], self.queries, self.embeddings)

    def measure(
        self,
        index: Index,
        search: Search,
        kind: Kind,
        setting: str,
        k: int,
        probed: int = 1,
        rescored: float = 1,
        reach: float | None = None,
    ) -> Measurement:
        partitions = index.partitions if isinstance(index, ProbingIndex) else 1
        return Measurement(
            kind,
            partitions,
            setting,
            probed,
            rescored,
            recall=round(self.recall(search, k), 4),
            milliseconds=round(measure_latency(search, self.queries, k), 3),
            milliseconds_together=round(measure_latency(search, self.queries, k, _TOGETHER), 4),
            megabytes=round(measure_memory(index), 3),
            reach=reach,
        )


def _tried(
    index: ProbingIndex, kind: Kind, setting: str, asked: _Asked, k: int, recall: float
) -> Iterator[Measurement]:
    """Measures an index with more partitions until it keeps the recall, then with fewer again."""
    search = traced(index, asked.queries.shape[1])
    measure = functools.partial(asked.measure, index, search, kind, setting, k)
    for rescored in _RESCORED.get(type(index), (1.0,)):
        fewest = index.fewest(k)
        fails, before = fewest - 1, -math.inf
        for probed in _numbers(index.partitions, fewest):
            index.probe([(k, probed)], rescored)
            one = measure(probed, rescored)
            yield one
            if one.recall >= recall and isinstance(index, Chunked):
                probed = _with_spare(index, probed)
                reach = _set_reach(index, search, asked, k, probed, rescored, recall)
                yield measure(probed, rescored, reach)
                break
            if one.recall >= recall:
                yield from _fewer(index, measure, k, fails, one, recall)
                break
            if one.recall < before + min(_LEAST_GAIN, _LEAST_SHARE * (recall - before)):
                break  # where more partitions bring nothing, too few items are scored exactly
            fails, before = probed, one.recall


def _fewer(
    index: ProbingIndex,
    measure: Callable[[int, float], Measurement],
    k: int,
    fails: int,
    enough: Measurement,
    recall: float,
) -> Iterator[Measurement]:
    """Measures numbers of partitions between one that fails and one that is enough, by halving."""
    most = enough.probed
    while most - fails > max(1, _CLOSE * most):
        middle = (fails + most) // 2
        index.probe([(k, middle)], enough.rescored)
        one = measure(middle, enough.rescored)
        yield one
        fails, most = (fails, middle) if one.recall >= recall else (middle, most)


def _timed_in_turns(
    tried: dict[Measurement, ProbingIndex], asked: _Asked, k: int, promise: Promise
) -> dict[Measurement, Measurement]:
    """Times the fastest settings that keep recall and memory anew, side by side.

    Other work on the machine slows it down for seconds, and with it whatever is measured then.
    """
    most = promise.megabytes or math.inf
    enough = [one for one in tried if one.recall >= promise.recall and one.megabytes <= most]
    finalists = sorted(enough, key=_cost)[:_FINALISTS]
    searches = {index: traced(index, asked.queries.shape[1]) for index in tried.values()}
    times: dict[Measurement, list[list[float]]] = {one: [] for one in finalists}
    for _ in range(_TURNS):
        for one in finalists:
            index = tried[one]
            index.probe([(k, one.probed)], one.rescored)
            if isinstance(index, Chunked) and one.reach is not None:
                index.prune([(k, one.reach)])
            measure = functools.partial(measure_latency, searches[index], asked.queries, k)
            times[one].append([measure(together) for together in (1, _TOGETHER)])

    def timed(one: Measurement) -> Measurement:
        alone, together = np.median(times[one], 0).tolist()
        return one._replace(milliseconds=round(alone, 3), milliseconds_together=round(together, 4))

    return {one: timed(one) for one in finalists}


def _with_spare(index: Chunked, probed: int) -> int:
    return min(index.partitions, math.ceil(probed * _SPARE))


def _set_reach(
    index: Chunked,
    search: Search,
    asked: _Asked,
    k: int,
    probed: int,
    rescored: float,
    recall: float,
) -> float:
    """Sets the shortest reach that keeps the recall, as far as halving finds it."""
    index.probe([(k, probed)], rescored)
    too_short, enough = 0.0, _FARTHEST
    for _ in range(_HALVINGS):
        middle = (too_short + enough) / 2
        index.prune([(k, middle)])
        if asked.recall(search, k) >= recall:
            enough = middle
        else:
            too_short = middle
    index.prune([(k, enough)])
    return enough


def _numbers(partitions: int, fewest: int) -> list[int]:
    """Numbers of partitions to try, each more than the one before by the same factor."""
    steps = np.arange(0, math.log(1 / _FEWEST_SHARE) / math.log(_FACTOR) + 1)
    numbers = partitions * _FEWEST_SHARE * _FACTOR**steps
    return sorted({min(partitions, max(fewest, math.ceil(number))) for number in numbers})


def _kept(measured: Sequence[Measurement], promise: Promise) -> Measurement:
    """The fastest that keeps a promise: the one whose two times have the least product."""
    small = [m for m in measured if m.megabytes <= (promise.megabytes or math.inf)]
    if not small:
        least = min(m.megabytes for m in measured)
        raise UserError(
            f"index.promise.megabytes: {promise.megabytes:g} cannot be kept; the smallest index "
            f"takes {least:g}; raise it, or lower model.embedding_dim"
        )
    enough = [m for m in small if m.recall >= promise.recall]
    if not enough:
        reached = max(m.recall for m in small)
        raise UserError(
            f"index.promise.recall: {promise.recall} at {promise.k} cannot be kept; the best is "
            f"{reached:.4f}; lower the promise"
        )
    in_time = [m for m in enough if m.milliseconds <= (promise.milliseconds or math.inf)]
    if not in_time:
        fastest = min(m.milliseconds for m in enough)
        raise UserError(
            f"index.promise.milliseconds: {promise.milliseconds:g} cannot be kept at recall "
            f"{promise.recall}; the fastest search takes {fastest:g}; raise it, or "
            "lower index.promise.recall"
        )
    return min(in_time, key=_cost)


def _cost(measured: Measurement) -> float:
    """The product of both times, so that a tenth of either weighs the same."""
    return measured.milliseconds * measured.milliseconds_together


def _set_lengths(
    index: ProbingIndex,
    exact: Search,
    asked: _Asked,
    chosen: Measurement,
    k: int,
    recall: float,
) -> None:
    """Sets an index as was chosen, and for longer lists so that they keep the recall too."""
    numbers, reaches = [(k, chosen.probed)], [(k, chosen.reach or 0.0)]
    some = _Asked(asked.queries[:_LONG_QUERIES], asked.embeddings, {})
    search = traced(index, some.queries.shape[1])
    for length in (k * times for times in _LONGER if k * times <= index.items):
        some.exact[length] = first_items(exact, some.queries, length)
        fewest = max(numbers[-1][1], index.fewest(length))
        for probed in _numbers(index.partitions, fewest):
            index.probe([(length, probed)], chosen.rescored)
            if some.recall(search, length) >= recall:
                break
        if isinstance(index, Chunked) and chosen.reach is not None:
            probed = _with_spare(index, probed)
            reach = _set_reach(index, search, some, length, probed, chosen.rescored, recall)
            reaches.append((length, reach))
        numbers.append((length, probed))
    index.probe(numbers, chosen.rescored)
    if isinstance(index, Chunked) and chosen.reach is not None:
        index.prune(reaches)
