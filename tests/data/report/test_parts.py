from collections.abc import Callable

import numpy as np

from tfrec.data.report.parts import PartSizes
from tfrec.data.splits import ByTime, ByUser

OLD, NEW = ByTime(validation=100, test=200), ("d", 250, 3, "buy")
EVENTS = [
    ("a", 10, 0, "buy"), ("a", 110, 1, "buy"), ("a", 220, 1, "buy"), ("a", 230, 2, "buy"),
    ("b", 120, 0, "buy"),
]  # fmt: skip


def test_parts_hold_their_events_and_say_what_is_new(shard_of: Callable) -> None:
    parts = PartSizes(items=5)

    parts.add(shard_of(EVENTS, OLD))
    parts.add(shard_of([NEW], OLD))

    train, validation, test = parts.sizes
    assert (train.events, train.shoppers, train.items) == (1, 1, 1)
    assert (train.first, train.last, train.new_items, train.new_shoppers) == (10, 10, 0, 0)
    assert (validation.shoppers, validation.new_shoppers) == (2, 1)
    assert (validation.items, validation.new_items, validation.on_new_items) == (2, 1, 1)
    assert (test.events, test.shoppers, test.new_shoppers) == (3, 2, 1)
    assert (test.items, test.new_items, test.on_new_items) == (3, 3, 3)
    assert (test.first, test.last) == (220, 250)
    assert parts.shoppers == 3
    assert parts.item_counts.sum(axis=0).tolist() == [2, 2, 1, 1, 0]


def test_part_without_events_is_empty(shard_of: Callable) -> None:
    parts = PartSizes(items=5)

    parts.add(shard_of([("a", 10, 0, "buy")], OLD))

    test = parts.sizes[-1]
    assert (test.name, test.events, test.examples, test.shoppers) == ("test", 0, 0, 0)
    assert (test.first, test.last) == (None, None)


def test_events_shown_of_held_out_shoppers_are_a_part(shard_of: Callable) -> None:
    parts = PartSizes(items=1)
    events = [(f"user-{n:03d}", time, 0, "buy") for n in range(100) for time in range(4)]

    parts.add(shard_of(events, ByUser(validation=0.3, test=0.3, shown=0.5, seed=0)))

    sizes = {size.name: size for size in parts.sizes}
    assert set(sizes) == {"train", "validation", "test", "shown"}
    assert sizes["shown"].events == sizes["validation"].events + sizes["test"].events > 0
    assert sum(size.events for size in parts.sizes) == parts.events == 400
    assert sizes["test"].new_shoppers == sizes["test"].shoppers
    assert np.isclose(sizes["shown"].shoppers, sizes["shown"].new_shoppers)
