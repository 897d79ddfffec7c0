import math
from collections.abc import Callable, Iterable

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that
from scipy.stats import gamma

from tfrec.data.complements import (
    BOUGHT,
    VIEWED,
    Groups,
    Rules,
    Totals,
    best_complements,
    find_complements,
)

RUNNER = "apache_beam.runners.portability.fn_api_runner.fn_runner.FnApiRunner"
ITEMS = 12


def table(*rows: tuple[int, int, int, int]) -> pa.Table:
    """Pairs from tuples of a, b, groups of purchases and groups of views."""
    columns = zip(*rows, strict=True)
    return pa.table(dict(zip(["a", "b", BOUGHT, VIEWED], map(list, columns), strict=True)))


def totals(groups: int, *support: int) -> Totals:
    return Totals(groups, np.array(support))


def random_shards(seed: int, sizes: list[int]) -> list[Groups]:
    random = np.random.default_rng(seed)
    return [
        Groups(
            random.integers(30, size=size),
            np.minimum(random.geometric(0.2, size=size) - 1, ITEMS - 1),
            random.integers(4, size=size),
        )
        for size in sizes
    ]


def plain_complements(
    bought: list[Groups], viewed: list[Groups], rules: Rules, categories: np.ndarray
) -> list[dict]:
    """All that the transform does, from the definitions, with sets and loops."""

    def holders(shards: list[Groups]) -> dict[tuple[int, int], dict[int, list[int]]]:
        """(shard, group) -> item -> its times."""
        found: dict[tuple[int, int], dict[int, list[int]]] = {}
        for number, shard in enumerate(shards):
            columns = shard.groups.tolist(), shard.items.tolist(), shard.times.tolist()
            for group, item, time in zip(*columns, strict=True):
                found.setdefault((number, group), {}).setdefault(item, []).append(time)
        return found

    def together(group: dict[int, list[int]], a: int, b: int) -> bool:
        both = a in group and b in group
        return both and (not rules.ordered or min(group[a]) < max(group[b]))

    def observed(shards: list[Groups], a: int, b: int) -> tuple[int, int, int, float]:
        groups = holders(shards).values()
        of_a, of_b = (sum(item in group for group in groups) for item in (a, b))
        count = sum(together(group, a, b) for group in groups)
        return count, of_a, of_b, of_a * of_b / max(len(groups), 1)

    rows = []
    for a in range(ITEMS):
        found = []
        for b in range(ITEMS):
            count, of_a, of_b, expected = observed(bought, a, b)
            views, _, _, expected_views = observed(viewed, a, b)
            lift_of_views = (views + 0.5) / (expected_views + 0.5)
            substitutes = lift_of_views > rules.max_view_ratio * (count + 0.5) / (expected + 0.5)
            same = categories[a] >= 0 and categories[a] == categories[b]
            if a == b or count < rules.min_count or same or (viewed and substitutes):
                continue
            lift, o = count / expected, count + 0.5
            credible = o / (expected + 0.5) * 2 ** (-3.3 / math.sqrt(o) - 2 / math.sqrt(o) ** 3)
            scores = {"confidence": count / of_a, "lift": lift, "credible_lift": credible}
            row = {"item": a, "complement": b, "count": count}
            row |= {"item_support": of_a, "complement_support": of_b}
            row |= {"confidence": count / of_a, "lift": lift, "score": scores[rules.score]}
            found.append(row)
        rows += sorted(found, key=lambda row: (-row["score"], row["complement"]))[: rules.top]
    return rows


def matches(expected: list[dict]) -> Callable[[Iterable[pa.Table]], None]:
    def check(found: Iterable[pa.Table]) -> None:
        rows = [row for part in found for row in part.to_pylist()]
        rows.sort(key=lambda row: (row["item"], -row["score"], row["complement"]))
        assert rows == [pytest.approx(row) for row in expected]

    return check


@pytest.mark.parametrize(
    ("rules", "with_views"),
    [
        (Rules(min_count=1), False),
        (Rules("confidence", top=3, min_count=2), False),
        (Rules("lift", top=2, min_count=2, ordered=True), False),
        (Rules(min_count=1, max_view_ratio=1.1), True),
        (Rules(min_count=1, max_view_ratio=1.1, ordered=True), True),
    ],
)
def test_shards_merge_into_the_complements_of_a_plain_loop(rules: Rules, with_views: bool) -> None:
    bought = random_shards(1, [150, 1, 90, 0])
    viewed = random_shards(2, [200, 100]) if with_views else []
    categories = np.array([-1, -1, *(np.arange(ITEMS - 2) % 4)])
    expected = plain_complements(bought, viewed, rules, categories)

    with beam.Pipeline(runner=RUNNER) as pipeline:
        purchases = pipeline | "Bought" >> beam.Create(bought)
        views = pipeline | "Viewed" >> beam.Create(viewed) if with_views else None
        codes = pipeline | "Categories" >> beam.Create([categories])
        found = find_complements(purchases, views, rules, ITEMS, 3, codes)
        assert_that(found, matches(expected))

    assert len(expected) > 15


def test_views_without_an_event_drop_nothing() -> None:
    bought = random_shards(1, [150])
    rules = Rules(min_count=1)
    expected = plain_complements(bought, [], rules, np.full(ITEMS, -1))

    with beam.Pipeline(runner=RUNNER) as pipeline:
        purchases = pipeline | "Bought" >> beam.Create(bought)
        views = pipeline | "Viewed" >> beam.Create([])
        assert_that(find_complements(purchases, views, rules, ITEMS, 2), matches(expected))


def test_substitutes_are_viewed_together_but_not_bought_together() -> None:
    # Item 0 is a phone: 1 is another one, 2 is a case. All three are viewed together.
    pairs = table((0, 1, 10, 400), (0, 2, 100, 400))
    bought, viewed = totals(1000, 200, 200, 200), totals(1000, 450, 450, 450)

    best = best_complements(pairs, Rules(), None, bought, viewed)

    assert best["complement"].to_pylist() == [2]


def test_items_of_one_category_are_substitutes_unless_it_is_unknown() -> None:
    pairs = table((0, 1, 9, 0), (0, 2, 8, 0), (3, 4, 7, 0))
    bought = totals(20, 10, 10, 10, 10, 10)

    best = best_complements(pairs, Rules(), np.array([5, 5, 6, -1, -1]), bought, None)

    ends = best.select(["item", "complement"]).to_pylist()
    assert ends == [{"item": 0, "complement": 2}, {"item": 3, "complement": 4}]


def test_credible_lift_is_a_quantile_of_the_gamma_distribution() -> None:
    pairs = table((0, 1, 5, 0), (0, 2, 20, 0), (0, 3, 300, 0))
    bought = totals(1000, 400, 20, 50, 700)

    best = best_complements(pairs, Rules(), None, bought, None)

    expected = {1: 8, 2: 20, 3: 280}
    for row in best.to_pylist():
        count, by_chance = row["count"], expected[row["complement"]]
        quantile = gamma.ppf(0.025, count + 0.5, scale=1 / (by_chance + 0.5))
        assert row["score"] == pytest.approx(quantile, rel=0.05)


@pytest.mark.parametrize(("score", "first"), [("lift", 1), ("credible_lift", 2), ("confidence", 3)])
def test_score_decides_between_rare_surprising_and_popular(score: str, first: int) -> None:
    # Item 1 came twice, both times with item 0; item 3 comes with everything.
    pairs = table((0, 1, 2, 0), (0, 2, 80, 0), (0, 3, 90, 0))
    bought = totals(1000, 100, 2, 100, 900)

    best = best_complements(pairs, Rules(score, min_count=1), None, bought, None)  # type: ignore[arg-type]

    assert best["complement"].to_pylist()[0] == first


def test_nothing_is_left_where_every_pair_is_too_rare() -> None:
    best = best_complements(table((0, 1, 4, 0)), Rules(), None, totals(9, 5, 5), None)

    assert best.num_rows == 0
    assert best.column_names[:3] == ["item", "complement", "count"]
