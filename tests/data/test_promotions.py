from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from pydantic import TypeAdapter
from records import read_rejects

from tfrec.data.catalogue import Catalogue
from tfrec.data.config import DataConfig
from tfrec.data.counts import Counts
from tfrec.data.events import LogFiles, event_files, prepare_events
from tfrec.data.prepared import PreparedData
from tfrec.data.promotions import prepare_promotions
from tfrec.features import Feature
from tfrec.features.parsing import ITEM_ROW, TIME

OFFER = TypeAdapter(Feature).validate_python(
    {"role": "item", "kind": "categorical", "embedding": 2}
)
DISCOUNT = TypeAdapter(Feature).validate_python({"role": "item", "kind": "numeric", "min": 0})
INTERVAL = {"source": "promotions", "item": "sku", "start": "from", "end": "to"}
FEATURES = {"offer": OFFER, "discount": DISCOUNT}

Event = tuple[str, int]


@pytest.fixture
def join(
    make_config: Callable[..., DataConfig],
    output: PreparedData,
    write_catalogue: Callable[..., Catalogue],
    write_parquet: Callable[..., str],
) -> Callable[..., tuple[list, Counts]]:
    """Offers of events (item, time), in their order, and what became of the promotions."""
    names = [f"item-{number:02d}" for number in range(20)]
    write_catalogue(names)

    def run(
        promotions: list[str], events: Sequence[Event], section: dict[str, Any], **log: Any
    ) -> tuple[list, Counts]:
        config = make_config(promotions=section)
        counted = prepare_promotions(config, FEATURES, promotions, output)
        file = write_parquet(
            shopper=[f"{number:05d}" for number in range(len(events))],
            sku=[item for item, _ in events],
            at=[at for _, at in events],
            **log,
        )
        (section_of_log,) = config.events
        files = LogFiles(section_of_log, [file], ["shopper", "sku", "at", *log])
        prepare_events(config, {}, [files], FEATURES, 1, output)
        rows = pa.parquet.read_table(event_files(output.events)[0]).to_pylist()
        assert set(rows[0]) >= {ITEM_ROW, TIME, "offer", "discount"}
        assert not any("match" in name for name in rows[0])
        return [row["offer"] for row in rows], counted

    return run


def test_promotion_runs_from_its_start_to_before_its_end(
    join: Callable[..., tuple[list, Counts]], write_parquet: Callable[..., str]
) -> None:
    file = write_parquet(
        sku=["item-01", "item-01", "item-02"], offer=["a", "b", "c"], discount=[1, 2, 3],
        **{"from": [10, 30, 10], "to": [20, 40, 20]},
    )  # fmt: skip
    times = [9, 10, 19, 20, 29, 30, 39, 40]

    offers, counted = join([file], [("item-01", time) for time in times], INTERVAL)

    assert offers == [None, "a", "a", None, None, "b", "b", None]
    assert counted == Counts(read=3)


def test_of_overlapping_promotions_the_one_that_began_last_counts(
    join: Callable[..., tuple[list, Counts]], write_parquet: Callable[..., str]
) -> None:
    file = write_parquet(
        sku=["item-01"] * 4, offer=["season", "week", "day", "same day"], discount=[0] * 4,
        **{"from": [0, 20, 22, 22], "to": [100, 40, 24, 23]},
    )  # fmt: skip
    times = [10, 20, 22, 23, 24, 39, 40, 99, 100]

    offers, _ = join([file], [("item-01", time) for time in times], INTERVAL)

    assert offers == [
        "season", "week", "same day", "day", "week", "week", "season", "season", None
    ]  # fmt: skip


@pytest.mark.parametrize("matched", [False, True])
def test_join_equals_a_plain_loop(
    join: Callable[..., tuple[list, Counts]], write_parquet: Callable[..., str], matched: bool
) -> None:
    random = np.random.default_rng(4)
    size = 150
    starts = random.integers(100, size=size)
    table = {
        "sku": [f"item-{n:02d}" for n in random.integers(9, size=size)],
        "offer": [f"offer-{n}" for n in range(size)],
        "discount": [0] * size,
        "from": starts,
        "to": starts + random.integers(40, size=size),
        "store": random.integers(3, size=size),
    }
    events = [(f"item-{n:02d}", int(at)) for n, at in random.integers([10, 140], size=[400, 2])]
    stores = random.integers(4, size=400).tolist()
    section = {**INTERVAL, "match": ["store"]} if matched else INTERVAL
    log = {"store": stores} if matched else {}

    offers, _ = join([write_parquet(**table)], events, section, **log)

    expected = []
    promotions = list(zip(*map(list, table.values()), strict=True))
    for (sku, at), store in zip(events, stores, strict=True):
        running = [
            (start, number)
            for number, (item, _, _, start, end, where) in enumerate(promotions)
            if item == sku and start <= at < end and (where == store or not matched)
        ]
        expected.append(f"offer-{max(running)[1]}" if running else None)
    assert offers == expected
    assert 50 < offers.count(None) < 350


def test_promotion_without_times_is_found_by_what_both_tables_have_in_common(
    join: Callable[..., tuple[list, Counts]], write_parquet: Callable[..., str]
) -> None:
    file = write_parquet(
        sku=["item-01", "item-01", "item-02", "item-01"], week=["1", "2", "1", "2"],
        store=["5"] * 4, offer=["a", "b", "c", "later row"], discount=[0] * 4,
    )  # fmt: skip
    section = {"source": "p", "item": "sku", "match": ["week", "store"]}
    events = [("item-01", 100), ("item-01", 90), ("item-02", 80), ("item-01", 70), ("item-01", 60)]

    offers, _ = join(
        [file], events, section, week=[1, 2, 1, 2, None], store=["5", "5", "5", "6", "5"]
    )

    assert offers == ["a", "later row", "c", None, None]


def test_events_of_a_table_without_good_promotions_have_none(
    join: Callable[..., tuple[list, Counts]], write_parquet: Callable[..., str]
) -> None:
    file = write_parquet(sku=["kiwi"], offer=["a"], discount=[0], **{"from": [0], "to": [100]})

    offers, counted = join([file], [("item-01", 5), ("item-02", 5)], INTERVAL)

    assert offers == [None, None]
    assert counted == Counts(1, {}, {"promotion of an item outside the catalogue": 1})


def test_promotions_that_cannot_be_right_are_rejected_with_their_reason(
    join: Callable[..., tuple[list, Counts]],
    write_parquet: Callable[..., str],
    output: PreparedData,
) -> None:
    file = write_parquet(
        sku=["item-01", None, "item-01", "item-01", "item-01", "item-01"],
        offer=list("abcdef"),
        discount=[0, 0, 0, 0, -1, 0],
        store=["1", "1", "1", "1", "1", None],
        **{"from": ["5", "5", None, "soon", "5", "5"], "to": ["9"] * 6},
    )

    offers, counted = join([file], [("item-01", 5)], {**INTERVAL, "match": ["store"]}, store=["1"])

    assert offers == ["a"]
    assert counted.read == 6
    assert counted.kept == 1
    lines = read_rejects(output.rejects, "promotions")
    assert {line["row"]["offer"]: (line["line"], line["reason"]) for line in lines} == {
        "b": (2, "missing item"),
        "c": (3, "missing from"),
        "d": (4, "from: no time that can be read"),
        "e": (5, "discount: less than 0"),
        "f": (6, "missing store"),
    }


def test_order_of_the_files_does_not_matter(
    join: Callable[..., tuple[list, Counts]], write_parquet: Callable[..., str]
) -> None:
    both = [
        write_parquet(sku=["item-01"], offer=[offer], discount=[0], **{"from": [0], "to": [9]})
        for offer in ("first file", "second file")
    ]

    offers, _ = join(both[::-1], [("item-01", 5)], INTERVAL)

    assert offers == ["second file"]
