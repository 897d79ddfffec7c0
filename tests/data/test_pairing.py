from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tfrec.data.catalogue import Catalogue
from tfrec.data.config import DataConfig, Pairs
from tfrec.data.pairing import all_pairs, draw_pairs
from tfrec.data.shard import Shard
from tfrec.data.splits import EXAMPLE_PARTS, ByTime

GAP = 10
CUTS = [0, 200, 250, 300]
SHELVES = [0, 0, 1, 1, 1, 2, None, None]

Pair = tuple[str, int, int, int]
"""The shopper, the first time of the group, and the rows of both items."""


@pytest.fixture
def events() -> list[tuple[str, int, int, str, None]]:
    """A few shoppers with many events, several at one moment."""
    random = np.random.default_rng(0)
    drawn = random.integers([4, 300, len(SHELVES), 3], size=[300, 4])
    kinds = ("buy", "view", "shown")
    return sorted(
        (f"u{user}", int(at), int(row), kinds[kind], None) for user, at, row, kind in drawn
    )


@pytest.fixture
def config(make_config: Callable[..., DataConfig]) -> Callable[..., DataConfig]:
    def make(**pairs: Any) -> DataConfig:
        weights = {"buy": 1, "view": 1, "shown": 0}
        return make_config({"weights": weights}, session_gap=GAP, pairs=pairs)

    return make


@pytest.fixture
def shard(
    make_shard: Callable[..., Shard],
    write_catalogue: Callable[..., Catalogue],
    config: Callable[..., DataConfig],
    events: list[tuple[str, int, int, str, None]],
) -> Shard:
    write_catalogue([f"sku-{row}" for row in range(len(SHELVES))])
    return make_shard(events, ByTime(CUTS[1], CUTS[2]), config())


def plain_pairs(events: list, part: int, pairs: Pairs, shelves: list[int | None]) -> Counter[Pair]:
    """Every pair of different items of a group once, as definitions say it."""
    types = pairs.types or ("buy", "view")
    groups: list[list] = []
    for event in events:
        user, at, _, kind, _ = event
        if kind not in types or not CUTS[part] <= at < CUTS[part + 1]:
            continue
        longest = GAP if pairs.within == "session" else 0
        if groups and groups[-1][-1][0] == user and at - groups[-1][-1][1] <= longest:
            groups[-1].append(event)
        else:
            groups.append([event])
    return Counter(
        {
            (group[0][0], group[0][1], a, b)
            for group in groups
            for _, first, a, *_ in group
            for _, second, b, *_ in group
            if a != b
            and (not pairs.ordered or first < second)
            and (shelves[a] is None or shelves[a] != shelves[b])
        }
    )


def as_pairs(shard: Shard, pairs: Pairs, sources: np.ndarray, targets: np.ndarray) -> Counter[Pair]:
    """What was found, by the first time of each group that is not too far from its source."""
    assert (shard.numbers[sources] == shard.numbers[targets]).all()
    found: Counter[Pair] = Counter()
    for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
        mine = np.flatnonzero((shard.numbers == shard.numbers[source]) & shard.is_type(pairs.types))
        mine = mine[shard.parts[mine] == shard.parts[source]]
        begin = int(shard.times[source])
        for at in shard.times[mine][::-1].tolist():
            longest = GAP if pairs.within == "session" else 0
            begin = at if at <= begin and begin - at <= longest else begin
        items = shard.item_rows[source], shard.item_rows[target]
        found[shard.users[source].as_py(), begin, int(items[0]), int(items[1])] += 1
    return found


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"within": "session"},
        {"within": "session", "ordered": True},
        {"within": "session", "types": ("shown", "buy")},
    ],
)
@pytest.mark.parametrize("shelves", [[None] * len(SHELVES), SHELVES])
def test_pairs_are_those_of_a_plain_loop_in_each_part(
    settings: dict[str, Any],
    shelves: list[int | None],
    config: Callable[..., DataConfig],
    shard: Shard,
    events: list,
) -> None:
    asked = config(**settings)
    codes = np.array([-1 if shelf is None else shelf for shelf in shelves])
    assert asked.pairs

    for part, name in enumerate(EXAMPLE_PARTS):
        found = all_pairs(shard, name, asked, asked.pairs, codes)
        sources, targets = (np.concatenate(rows) for rows in zip(*found, strict=True))

        expected = plain_pairs(events, part, asked.pairs, shelves)
        assert expected
        assert as_pairs(shard, asked.pairs, sources, targets) == expected


def test_at_most_so_many_pairs_of_each_source_are_drawn_and_each_with_the_same_chance(
    config: Callable[..., DataConfig], shard: Shard
) -> None:
    asked = config(within="session", examples=2)
    codes = np.full(len(SHELVES), -1)
    assert asked.pairs
    (every,) = all_pairs(shard, "train", asked, asked.pairs, codes)
    possible = Counter(every[0].tolist())
    drawn: Counter[tuple[int, int]] = Counter()

    for seed in range(400):
        random = np.random.default_rng(seed)
        sources, targets = draw_pairs(shard, "train", asked, asked.pairs, codes, random)
        assert Counter(sources.tolist()) == {s: min(n, 2) for s, n in possible.items()}
        drawn.update(zip(sources.tolist(), targets.tolist(), strict=True))

    for pair in zip(*(rows.tolist() for rows in every), strict=True):
        assert drawn[pair] / 400 == pytest.approx(min(1, 2 / possible[pair[0]]), abs=0.12)
    assert sum(drawn.values()) == 400 * sum(min(n, 2) for n in possible.values())


def test_part_without_groups_has_no_pairs(
    make_shard: Callable[..., Shard],
    write_catalogue: Callable[..., Catalogue],
    config: Callable[..., DataConfig],
) -> None:
    write_catalogue(["x", "y"])
    asked = config()
    shard = make_shard([("a", 1, 0, "buy", None), ("a", 2, 1, "buy", None)], ByTime(50, 60), asked)
    assert asked.pairs

    for part in ("train", "test"):
        random = np.random.default_rng(0)
        drawn = draw_pairs(shard, part, asked, asked.pairs, np.full(2, -1), random)
        assert [rows.tolist() for rows in drawn] == [[], []]
