from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.pairs import write_pairs
from tfrec.data.prepared import PreparedData
from tfrec.data.splits import ByTime

ITEMS = ["bread", "butter", "milk", "oat milk", "soap"]
BREAD, BUTTER, MILK, OAT_MILK, SOAP = range(5)
COLUMNS = Columns({"shopper": "user", "sku": "item"})
TRAIN_END = 10_000
SPLIT = ByTime(TRAIN_END, TRAIN_END + 100)

Event = tuple[str, int, int, str, None]
Found = dict[tuple[str, str], dict]


def baskets(kind: str, start: int, *items: int, count: int) -> Iterator[Event]:
    """Baskets of the same items, each of another shopper."""
    for number in range(count):
        at = start + number
        yield from ((f"shopper-{at:05d}", at, item, kind, None) for item in items)


@pytest.fixture
def find(
    output: PreparedData,
    write_catalogue: Callable[..., Catalogue],
    write_events: Callable[..., Path],
    make_config: Callable[..., DataConfig],
) -> Callable[..., Found]:
    write_catalogue(ITEMS, group=["bakery", "dairy", "dairy", "dairy", None])

    def run(events: list[Event], **pairs: object) -> Found:
        shoppers = sorted({user for user, *_ in events})
        for number in range(3):
            mine = sorted(e for e in events if shoppers.index(e[0]) % 3 == number)
            write_events(mine, f"events-{number}")
        config = make_config({"weights": {"buy": 1, "view": 0}}, pairs=pairs)
        assert config.pairs
        write_pairs(config, config.pairs, COLUMNS, SPLIT, output)
        tables = [pa.parquet.read_table(file).to_pylist() for file in output.pairs.iterdir()]
        rows = [row for table in tables for row in table]
        found = {(row["item"], row["complement"]): row for row in rows}
        assert len(found) == len(rows)
        return found

    return run


def test_complements_are_what_is_bought_together_in_training(find: Callable[..., Found]) -> None:
    events = [
        *baskets("buy", 0, BREAD, BUTTER, count=20),
        *baskets("buy", 100, MILK, count=30),
        *baskets("buy", 200, SOAP, count=30),
        *baskets("buy", TRAIN_END, MILK, SOAP, count=50),
    ]

    found = find(events, min_count=5)

    assert set(found) == {("bread", "butter"), ("butter", "bread")}
    pair = found["bread", "butter"]
    assert (pair["count"], pair["item_support"], pair["complement_support"]) == (20, 20, 20)
    assert pair["confidence"] == 1
    assert pair["lift"] == pytest.approx(80 / 20)


def test_items_of_one_group_are_substitutes_and_no_complements(find: Callable[..., Found]) -> None:
    events = [
        *baskets("buy", 0, MILK, OAT_MILK, count=20),
        *baskets("buy", 100, MILK, SOAP, count=20),
        *baskets("buy", 200, BREAD, count=40),
    ]

    assert ("milk", "oat milk") in find(events, min_count=5)


def test_substitutes_column_drops_its_pairs(find: Callable[..., Found]) -> None:
    events = [
        *baskets("buy", 0, MILK, OAT_MILK, count=20),
        *baskets("buy", 100, MILK, SOAP, count=20),
        *baskets("buy", 200, BREAD, count=40),
    ]

    found = find(events, min_count=5, substitutes="category")

    assert set(found) == {("milk", "soap"), ("soap", "milk")}


def test_items_viewed_together_far_more_than_bought_are_substitutes(
    find: Callable[..., Found],
) -> None:
    events = [
        *baskets("buy", 0, MILK, OAT_MILK, count=6),
        *baskets("buy", 100, MILK, count=100),
        *baskets("buy", 300, OAT_MILK, count=100),
        *baskets("buy", 500, BREAD, BUTTER, count=40),
        *baskets("view", 1000, MILK, OAT_MILK, count=80),
        *baskets("view", 2000, SOAP, count=300),
    ]

    found = find(events, min_count=5, viewed=["view"], score="confidence")

    assert set(found) == {("bread", "butter"), ("butter", "bread")}


def test_session_takes_together_what_came_without_a_long_silence(
    find: Callable[..., Found],
) -> None:
    events: list[Event] = []
    for number in range(10):
        shopper = f"shopper-{number}"
        events += [
            (shopper, 0, BREAD, "buy", None), (shopper, 1800, BUTTER, "buy", None),
            (shopper, 3601, SOAP, "buy", None),
        ]  # fmt: skip

    found = find(events, within="session", min_count=5)

    assert set(found) == {("bread", "butter"), ("butter", "bread")}


def test_order_counts_where_it_is_asked_for(find: Callable[..., Found]) -> None:
    events: list[Event] = []
    for number in range(10):
        shopper = f"shopper-{number}"
        events += [(shopper, 0, BREAD, "buy", None), (shopper, 60, BUTTER, "buy", None)]

    found = find(events, within="session", min_count=5, ordered=True)

    assert set(found) == {("bread", "butter")}


def test_pairs_count_the_types_that_are_asked_for(find: Callable[..., Found]) -> None:
    events = [
        *baskets("buy", 0, BREAD, BUTTER, count=9),
        *baskets("view", 100, MILK, SOAP, count=9),
        *baskets("view", 200, BREAD, count=9),
    ]

    assert set(find(events, min_count=5, types=["view"])) == {("milk", "soap"), ("soap", "milk")}


def test_no_pair_that_is_frequent_enough_leaves_no_table(find: Callable[..., Found]) -> None:
    assert find(list(baskets("buy", 0, BREAD, BUTTER, count=4)), min_count=5) == {}
