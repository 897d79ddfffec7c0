"""Which items go with an item: the pairs that come together more often than chance has it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import AsSingleton

from tfrec.data.cooccurrence import PairCounts, count_pairs
from tfrec.data.shuffle import Piece, by_bucket, unpack

BOUGHT, VIEWED = "bought", "viewed"


@dataclass(frozen=True)
class Rules:
    """How complements are chosen.

    Attributes:
      score: what orders the complements of an item. `confidence`: the share of the item's groups
        that hold the complement; popular items win. `lift`: how many times as often as by chance;
        rare pairs win. `credible_lift`: the lift that the pair has at least, with a probability
        of 97.5 %; a pair must be both frequent and far from chance.
      top: the most complements of an item.
      min_count: the fewest groups that hold a pair.
      max_group: the most distinct items of a group that are paired; see `count_pairs`.
      ordered: whether the complement must come later in the group than the item.
      max_view_ratio: a pair whose lift among views is more than this many times its lift among
        purchases is taken for substitutes and dropped; used where views are given.
      seed: of the samples of groups that are too large.
    """

    score: Literal["credible_lift", "confidence", "lift"] = "credible_lift"
    top: int = 100
    min_count: int = 5
    max_group: int = 100
    ordered: bool = False
    max_view_ratio: float = 4
    seed: int = 0


@dataclass(frozen=True)
class Groups:
    """Events of whole groups, such as baskets or sessions.

    Attributes:
      groups: `[events]` number of each event's group, from 0 on.
      items: `[events]` int64 item rows.
      times: `[events]` int64 seconds.
    """

    groups: np.ndarray
    items: np.ndarray
    times: np.ndarray


@dataclass(frozen=True)
class Totals:
    """Number of groups, and `[items]` in how many of them each item is."""

    groups: int
    support: np.ndarray


def find_complements(
    bought: beam.PCollection,
    viewed: beam.PCollection | None,
    rules: Rules,
    items: int,
    buckets: int,
    categories: beam.PCollection | None = None,
) -> beam.PCollection:
    """Finds the best complements of every item.

    Args:
      bought: `Groups` of purchases; a group is whole in one element.
      viewed: `Groups` of views, which tell substitutes; `None` if there are none.
      rules: how complements are chosen.
      items: rows of the catalogue.
      buckets: parts that the items are spread over; the pairs of one must fit into memory.
      categories: of one element, as `best_complements` takes it; `None` to allow any pair.

    Returns:
      Tables as `best_complements` makes them, one for each bucket with an item.
    """
    parts, totals = [], {}
    for kind, groups in {BOUGHT: bought, VIEWED: viewed}.items():
        if groups is not None:
            counts = groups | f"CountPairs {kind}" >> beam.Map(_count, rules)
            parts.append(counts | f"SplitPairs {kind}" >> beam.FlatMap(_split, kind, buckets))
            supports = counts | f"Support {kind}" >> beam.Map(_totals, items)
            total = supports | f"AddSupport {kind}" >> beam.CombineGlobally(_add, items)
            totals[kind] = AsSingleton(total)
    codes = None if categories is None else AsSingleton(categories)
    return (
        parts
        | "AllPairs" >> beam.Flatten()
        | "PairsOfBucket" >> beam.GroupByKey()
        | "BestPairs" >> beam.Map(_best, rules, codes, totals[BOUGHT], totals.get(VIEWED))
    )


def best_complements(
    pairs: pa.Table,
    rules: Rules,
    categories: np.ndarray | None,
    bought: Totals,
    viewed: Totals | None,
) -> pa.Table:
    """Scores pairs, drops substitutes, and keeps the best of each item.

    Substitutes are items of one category, and items that are viewed together much more than bought
    together: people compare substitutes but buy one of them, and buy complements together. Both
    lifts are drawn towards 1 where counts are small. If `rules.ordered`, the lift is still against
    chance in either order.

    Args:
      pairs: all pairs of some items; columns `a`, `b`, `bought` and `viewed`, the latter two the
        numbers of groups of either kind.
      rules: how complements are chosen.
      categories: `[items]` category codes, negative if unknown; `None` to allow any pair.
      bought: of the groups of purchases.
      viewed: of the groups of views, if there are any.

    Returns:
      Columns `item` and `complement` (int64 rows of the catalogue), `count`, `item_support` and
      `complement_support` (int64, groups that hold both, the one and the other), `confidence`,
      `lift` and `score` (float64); ordered by item and falling score.

    Source: McAuley, Pandey and Leskovec, Inferring Networks of Substitutable and Complementary
    Products (KDD 2015), for what tells substitutes from complements; Norén, Hopstadius and Bate,
    Shrinkage observed-to-expected ratios for robust and transparent large-scale pattern discovery
    (Statistical Methods in Medical Research, 2013), for the shrunk and the credible lift.
    """
    a, b, count, views = (pairs[name].to_numpy() for name in ("a", "b", BOUGHT, VIEWED))
    kept = (a != b) & (count >= rules.min_count)
    if categories is not None:
        kept &= (categories[a] < 0) | (categories[a] != categories[b])
    if viewed is not None:
        view_lift = _shrunk_lift(views, _expected(viewed, a, b))
        kept &= view_lift <= rules.max_view_ratio * _shrunk_lift(count, _expected(bought, a, b))
    a, b, count = a[kept], b[kept], count[kept]
    expected = _expected(bought, a, b)
    scores = {"confidence": count / bought.support[a], "lift": count / expected}
    score = scores.get(rules.score, _credible_lift(count, expected))
    columns = {
        "item": a,
        "complement": b,
        "count": count,
        "item_support": bought.support[a],
        "complement_support": bought.support[b],
        **scores,
        "score": score,
    }
    return pa.table(columns).take(pa.array(_top(a, b, score, rules.top)))


def _expected(totals: Totals, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Number of groups that would hold both items if they had nothing to do with one another."""
    return totals.support[a] / max(totals.groups, 1) * totals.support[b]


def _shrunk_lift(count: np.ndarray, expected: np.ndarray) -> np.ndarray:
    return (count + 0.5) / (expected + 0.5)


def _credible_lift(count: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """The 2.5 % quantile of the shrunk lift, whose posterior is a gamma distribution."""
    shrunk = count + 0.5
    return _shrunk_lift(count, expected) * 2 ** -(3.3 * shrunk**-0.5 + 2 * shrunk**-1.5)


def _top(a: np.ndarray, b: np.ndarray, score: np.ndarray, top: int) -> np.ndarray:
    """Rows of the `top` highest scores of each `a`, ordered by `a` and falling score."""
    order = np.lexsort((b, -score, a))
    ordered = a[order]
    return order[np.arange(len(a)) - np.searchsorted(ordered, ordered) < top]


def _count(shard: Groups, rules: Rules) -> PairCounts:
    times = shard.times if rules.ordered else None
    return count_pairs(shard.groups, shard.items, rules.max_group, times, rules.seed)


def _split(pairs: PairCounts, kind: str, buckets: int) -> Iterator[tuple[int, Piece]]:
    columns = {"a": pairs.a, "b": pairs.b}
    columns |= {name: np.zeros(len(pairs.a), np.int64) for name in (BOUGHT, VIEWED)}
    columns[kind] = pairs.counts
    yield from by_bucket(pa.RecordBatch.from_pydict(columns), pairs.a % buckets)


def _totals(pairs: PairCounts, items: int) -> Totals:
    own = pairs.a == pairs.b
    support = np.zeros(items, np.int64)
    support[pairs.a[own]] = pairs.counts[own]
    return Totals(pairs.groups, support)


def _add(parts: Iterable[Totals], items: int) -> Totals:
    groups, support = 0, np.zeros(items, np.int64)
    for part in parts:
        groups += part.groups
        support += part.support
    return Totals(groups, support)


def _best(
    bucket: tuple[int, Iterable[Piece]],
    rules: Rules,
    categories: np.ndarray | None,
    bought: Totals,
    viewed: Totals | None,
) -> pa.Table:
    added = unpack(bucket[1]).group_by(["a", "b"]).aggregate([(BOUGHT, "sum"), (VIEWED, "sum")])
    names = [name.removesuffix("_sum") for name in added.column_names]
    return best_complements(added.rename_columns(names), rules, categories, bought, viewed)
