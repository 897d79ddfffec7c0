"""Measuring several rankers on the same shoppers, slice by slice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tfrec.data.events import USER
from tfrec.data.query_set import QuerySet
from tfrec.evaluation.config import Protocol
from tfrec.evaluation.full_ranking import rank
from tfrec.evaluation.intervals import CONFIDENCE, bootstrap, compare
from tfrec.evaluation.lists import Lists
from tfrec.evaluation.measures import Items, Measure, measure_shoppers, measure_together
from tfrec.evaluation.slices import Slice, make_slices
from tfrec.models.ranker import Ranker

RANKER, SLICE = "ranker", "slice"
Progress = Callable[[str, int, int], None]
Listener = Callable[[str, Mapping[str, Lists]], None]


@dataclass(frozen=True)
class Measured:
    """One ranker on one slice.

    Attributes:
      shoppers: `[users]` places in the query set of those who have something to find.
      values: metric -> `[users]` float64; NaN where a metric has no value.
      together: metric -> value, for what only all lists together have.
    """

    shoppers: np.ndarray
    values: dict[str, np.ndarray]
    together: dict[str, float]


class Evaluation:
    """What rankers were found to be worth.

    Attributes:
      queries: the shoppers.
      protocol: how they were measured.
      measured: ranker -> slice -> what was measured. The slices `all` and `new_to_shopper` come
        with those of the protocol, named `all/weekday=3`.
    """

    def __init__(
        self,
        queries: QuerySet,
        protocol: Protocol,
        measured: Mapping[str, Mapping[str, Measured]],
    ) -> None:
        """Holds what was measured."""
        self.queries, self.protocol, self.measured = queries, protocol, measured

    def summary(self) -> dict[str, Any]:
        """The figures as plain values.

        Returns:
          `protocol`: what was ranked, and the settings of intervals;
          `metrics`: ranker -> slice -> metric -> mean; `users` counts the slice's shoppers;
          `intervals`: ranker -> slice -> metric -> lower and upper end;
          `comparisons`: other ranker -> slice -> metric -> the first ranker's `difference` to it,
          `low`, `high` and `p_value`;
          `left_out`: slice of all shoppers -> number of those with nothing to find.
          A slice of fewer than `min_users` has no value but `users`; `all` and `new_to_shopper`
          have values whatever their number.
        """
        protocol = self.protocol
        rankers = [*self.measured]
        ours = self.measured[rankers[0]]
        intervals: dict[str, dict[str, Any]] = {ranker: {} for ranker in rankers}
        comparisons: dict[str, dict[str, Any]] = {ranker: {} for ranker in rankers[1:]}
        for name in ours:
            for ranker, ends in self._intervals(name).items():
                intervals[ranker][name] = ends
            for ranker, figures in self._comparisons(name).items():
                comparisons[ranker][name] = figures
        return {
            "protocol": {
                "candidates": str(protocol.candidates),
                "sampled": protocol.candidates.sampled is not None,
                "seen": protocol.seen,
                "min_users": protocol.min_users,
                "confidence": CONFIDENCE,
                "resamples": protocol.resamples,
            },
            "metrics": {
                ranker: {name: self._means(name, found) for name, found in slices.items()}
                for ranker, slices in self.measured.items()
            },
            "intervals": intervals,
            "comparisons": comparisons,
            "left_out": {
                name: len(self.queries) - len(ours[name].shoppers) for name in protocol.rankings
            },
        }

    def table(self) -> pa.Table:
        """Every shopper's values.

        Returns:
          Columns: `ranker`, `slice` (`all`, `new_to_shopper`), `_user` and a float64 column for
          each metric that a shopper has a value of; the shoppers with something to find, in the
          order of the queries.
        """
        users = self.queries.table[USER]
        parts = []
        for ranker, slices in self.measured.items():
            for name in self.protocol.rankings:
                found = slices[name]
                count = len(found.shoppers)
                columns = {
                    RANKER: pa.array([ranker] * count, pa.string()),
                    SLICE: pa.array([name] * count, pa.string()),
                    USER: users.take(pa.array(found.shoppers)),
                }
                parts.append(pa.table({**columns, **found.values}))
        return pa.concat_tables(parts)

    def _means(self, name: str, found: Measured) -> dict[str, float | None]:
        titles = [self.protocol.title(measure) for measure in self.protocol.measures]
        figures = {metric: _mean(values) for metric, values in found.values.items()}
        named = dict.fromkeys(titles) if self._too_small(name) else {**figures, **found.together}
        return {"users": len(found.shoppers), **{title: named[title] for title in titles}}

    def _intervals(self, name: str) -> dict[str, dict[str, list[float]]]:
        """Ranker -> metric -> ends."""
        if self._too_small(name):
            return {ranker: {} for ranker in self.measured}
        found = [slices[name] for slices in self.measured.values()]
        joined = np.hstack([_matrix(one) for one in found])
        ends = bootstrap(joined, self.protocol.resamples, self.protocol.seed)
        low, high = (end.reshape(len(found), -1).tolist() for end in ends)
        return {
            ranker: {metric: list(pair) for metric, *pair in zip(one.values, *both, strict=True)}
            for ranker, one, *both in zip(self.measured, found, low, high, strict=True)
        }

    def _comparisons(self, name: str) -> dict[str, dict[str, dict[str, float]]]:
        """Other ranker -> metric -> how the first ranker differs."""
        ours, *others = (slices[name] for slices in self.measured.values())
        if not others or self._too_small(name):
            return {ranker: {} for ranker in [*self.measured][1:]}
        joined = np.hstack([_matrix(other) for other in others])
        same = np.tile(_matrix(ours), len(others))
        found = compare(same, joined, self.protocol.resamples, self.protocol.seed)
        fields = {key: column.reshape(len(others), -1) for key, column in vars(found).items()}
        return {
            ranker: {
                metric: {key: float(figures[row, place]) for key, figures in fields.items()}
                for place, metric in enumerate(ours.values)
            }
            for row, ranker in enumerate([*self.measured][1:])
        }

    def _too_small(self, name: str) -> bool:
        """Whether a slice of a ranking, whose shoppers all rankers share, has too few of them."""
        shoppers = next(iter(self.measured.values()))[name].shoppers
        return name not in self.protocol.rankings and len(shoppers) < self.protocol.min_users


def evaluate(
    rankers: Mapping[str, Ranker],
    queries: QuerySet,
    items: Items,
    protocol: Protocol,
    progress: Progress = lambda *_: None,
    listener: Listener = lambda *_: None,
) -> Evaluation:
    """Measures rankers against what shoppers did next.

    Args:
      rankers: name -> ranker; the first is compared with each of the others.
      queries: the shoppers of the window.
      items: what is known of the catalogue.
      protocol: what is ranked and measured.
      progress: hears of each ranker how many of how many shoppers are done.
      listener: hears of each ranker its lists by ranking, which are not kept.

    Returns:
      The measurements. Shoppers with nothing to find are left out of every mean.

    Raises:
      UserError: if the protocol does not fit the catalogue or the queries.
      ValueError: if a score is NaN.
    """
    parts = make_slices(protocol.slices, queries, items.counts)
    measured = {}
    for name, ranker in rankers.items():

        def tell(done: int, name: str = name) -> None:
            progress(name, done, len(queries))

        lists = rank(ranker, queries, items.counts, protocol, tell)
        measured[name] = _measure(lists, parts, items, protocol)
        listener(name, lists)
    return Evaluation(queries, protocol, measured)


def _measure(
    lists: Mapping[str, Lists], parts: Sequence[Slice], items: Items, protocol: Protocol
) -> dict[str, Measured]:
    measured = {}
    for ranking, whole in lists.items():
        values = {m: measure_shoppers(m, whole, items) for m in protocol.measures if m.of_shoppers}
        measured[ranking] = _select(whole, Slice(ranking), values, items, protocol)
        for part in parts:
            name = f"{ranking}/{part.name}"
            measured[name] = _select(whole, part, values, items, protocol)
    return measured


def _select(
    whole: Lists,
    part: Slice,
    values: Mapping[Measure, np.ndarray],
    items: Items,
    protocol: Protocol,
) -> Measured:
    """What was measured of a part; what counts as relevant in it may be less."""
    if part.items is not None:
        whole = whole.only_items(part.items)
        values = {measure: measure_shoppers(measure, whole, items) for measure in values}
    chosen = whole.relevant > 0
    if part.shoppers is not None:
        chosen &= part.shoppers
    together = [measure for measure in protocol.measures if not measure.of_shoppers]
    lists = whole.only_shoppers(chosen) if together else whole
    return Measured(
        np.flatnonzero(chosen),
        {protocol.title(measure): found[chosen] for measure, found in values.items()},
        {protocol.title(measure): measure_together(measure, lists, items) for measure in together},
    )


def _matrix(found: Measured) -> np.ndarray:
    """Shoppers' values side by side: `[users, metrics]`."""
    columns = [*found.values.values()]
    return np.column_stack(columns) if columns else np.zeros([len(found.shoppers), 0])


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan
