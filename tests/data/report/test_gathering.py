from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf
from shop import DAYS, ITEMS, Shop

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.config import DataConfig
from tfrec.data.input_pipeline import read_examples
from tfrec.data.prepared import PreparedData
from tfrec.data.report.distributions import Numbers, Strings
from tfrec.data.report.gathering import Figures, gather
from tfrec.features import FeatureSpec

DAY = 86_400
PARTS = ("train", "validation", "test")


def silent(what: str, done: int, total: int) -> None:
    """Does not tell of progress."""


@pytest.fixture(scope="module")
def parts(figures: Figures, log: list) -> dict[str, list]:
    """The log's distinct events by part, cut where a week and two weeks are left."""
    end = max(event.time for event in log) + 1
    cut: dict[str, list] = {part: [] for part in PARTS}
    for event in sorted(set(log)):
        weeks_left = (end - 1 - event.time) // (7 * DAY)
        cut["test" if weeks_left < 1 else "validation" if weeks_left < 2 else "train"].append(event)
    return cut


def values_of(figures: Figures, name: str) -> Strings | Numbers:
    return next(one.values for one in figures.features if one.name == name)


def test_parts_hold_what_the_log_says(figures: Figures, parts: dict[str, list]) -> None:
    known = {event.user for event in parts["train"]}
    sold = {event.sku for event in parts["train"]}
    for size in figures.parts.sizes:
        events = parts[size.name]
        users, items = {event.user for event in events}, {event.sku for event in events}
        assert size.events == size.examples == len(events)
        assert (size.shoppers, size.new_shoppers) == (len(users), len(users - known))
        assert (size.items, size.new_items) == (len(items), len(items - sold))
        assert size.first == min(event.time for event in events)
        assert size.last == max(event.time for event in events)
    assert figures.items == ITEMS


def test_counts_of_items_are_those_that_preparation_kept(
    figures: Figures, prepared: PreparedData
) -> None:
    for number, part in enumerate(PARTS):
        assert figures.parts.item_counts[number].tolist() == prepared.item_counts(part).tolist()
    assert figures.popularity.unsold == np.sum(prepared.item_counts("train") == 0)


def test_every_event_has_its_day(figures: Figures, parts: dict[str, list]) -> None:
    days = Counter(event.time // DAY for events in parts.values() for event in events)

    (series,) = figures.activity.series
    there = {
        edge // DAY: count
        for edge, count in zip(figures.activity.edges[:-1], series.counts, strict=True)
        if count
    }
    assert there == days
    assert len(days) == DAYS + 1


def test_histories_baskets_and_sessions_are_those_of_the_log(
    figures: Figures, parts: dict[str, list]
) -> None:
    events = [event for part in PARTS for event in parts[part]]
    baskets = Counter((event.user, event.time) for event in events)
    lengths = figures.lengths

    assert lengths.histories.counts.nonzero()[0].tolist() == sorted(
        set(Counter(event.user for event in events).values())
    )
    assert lengths.baskets.total == len({user for user, _ in baskets})
    sizes = Counter(baskets.values())
    assert {n: c for n, c in enumerate(lengths.basket_sizes.counts) if c} == sizes
    # All events are on the full hour, and half an hour ends a session.
    assert lengths.sessions.counts.tolist() == lengths.basket_sizes.counts.tolist()


@pytest.mark.parametrize("name", ["aisle", "channel", "shopper", "weekday"])
def test_values_of_strings_are_counted_by_part(
    figures: Figures, parts: dict[str, list], shop: Shop, name: str
) -> None:
    items = pa.parquet.read_table(shop.items).to_pylist()
    aisles = {item["sku"]: item["aisle"] for item in items}
    value = {
        "aisle": lambda event: aisles[event.sku],
        "channel": lambda event: event.channel,
        "shopper": lambda event: event.user,
        "weekday": lambda event: f"{np.datetime64(event.time, 's').item():%A}",
    }[name]
    counts = {part: Counter(map(value, parts[part])) for part in PARTS}

    values = values_of(figures, name)

    assert isinstance(values, Strings)
    assert values.distinct == len(counts["train"])
    for row, top in enumerate(values.top):
        expected = [counts[part][top] / counts[part].total() for part in PARTS]
        assert values.shares[row].tolist() == pytest.approx(expected)
    most = [count for _, count in counts["train"].most_common(len(values.top))]
    assert [counts["train"][top] for top in values.top] == most
    assert values.missing.tolist() == [0, 0, 0]


def test_unknown_values_are_those_that_training_lacks(
    figures: Figures, parts: dict[str, list]
) -> None:
    known = {event.sku for event in parts["train"]}

    values = values_of(figures, "sku")

    assert isinstance(values, Strings)
    assert values.unknown is not None
    shares = [np.mean([event.sku not in known for event in parts[part]]) for part in PARTS]
    assert values.unknown.tolist() == pytest.approx(shares)


def test_sequences_are_measured_by_their_lengths(figures: Figures, parts: dict[str, list]) -> None:
    earlier: dict[str, list[int]] = defaultdict(list)
    for event in parts["train"]:
        earlier[event.user].append(event.time)
    lengths = [
        min(sum(time < event.time for time in earlier[event.user]), 5) for event in parts["train"]
    ]

    values = values_of(figures, "recent")

    assert isinstance(values, Numbers)
    assert values.missing[0] == pytest.approx(np.mean(np.equal(lengths, 0)))
    assert (values.least, values.most) == (1, 5)


def test_small_data_are_sampled_whole(figures: Figures, parts: dict[str, list]) -> None:
    assert figures.sampled == {part: len(parts[part]) for part in PARTS}


@pytest.mark.parametrize(
    "split",
    [
        {"kind": "leave_last_out"},
        {"kind": "random"},
        {"kind": "users", "validation": 0.3, "test": 0.3},
    ],
)
def test_other_splits_are_divided_as_preparation_does(
    prepared: PreparedData, data_config: DataConfig, spec: FeatureSpec, split: dict
) -> None:
    config = validate(DataConfig, {**data_config.model_dump(), "split": split}, "data")

    figures = gather(prepared, config, spec, {}, silent)

    sizes = {size.name: size for size in figures.parts.sizes}
    assert sum(size.events for size in sizes.values()) == figures.parts.events
    assert ("shown" in sizes) == (split["kind"] == "users")
    assert all(size.examples > 0 for size in sizes.values())


def test_odd_shop_has_figures_for_features_of_every_kind(odd_figures: Figures) -> None:
    values = {one.name: one.values for one in odd_figures.features}

    assert odd_figures.activity.unit == "hour"
    assert {series.name for series in odd_figures.activity.series} == {"view", "<b>buy</b>"}
    for name in ("shopper", "sku", "brand", "tags", "title", "weekday", "shelf", "colours"):
        assert isinstance(values[name], Strings), name
    for name in ("age", "price", "flat", "image", "recent_skus", "bought", "at", "importance"):
        assert isinstance(values[name], Numbers), name
    assert values["brand"].unknown is None  # hashed
    # Of the twelve shelves only some are whole numbers from 0 to 9.
    assert 0 < values["shelf"].unknown[0] < 1
    assert 0 < values["age"].missing[0] < 1
    assert odd_figures.parts.shoppers == 32


def test_rows_given_out_later_are_not_unknown_and_shared_lookups_count_by_their_owner(
    shop: Shop, data_config: DataConfig, tmp_path: Path
) -> None:
    from tfrec.stages.prepare import prepare

    content = shop.config()["features"]
    content["sku"] |= {"lookup": "dynamic", "rows": 4}
    content["weekday"] = {"role": "context", "kind": "categorical", "share": "channel"}
    spec = validate(FeatureSpec, content, "features")
    data = PreparedData(prepare(data_config, spec, tmp_path / "prepare").path)

    figures = gather(data, data_config, spec, {}, silent)

    assert values_of(figures, "sku").unknown is None
    assert values_of(figures, "weekday").unknown.tolist() == [1, 1, 1]
    assert values_of(figures, "channel").unknown[0] == 0
    examples = read_examples(data.examples("train"), spec, 10_000)
    batch = next(iter(examples))
    known = {
        int(tf.strings.to_hash_bucket_fast(sku, 2**63 - 1)) for sku in Catalogue(data.catalogue).ids
    }
    assert set(batch["sku"].numpy()) <= known
    assert set(batch["recent"].flat_values.numpy()) <= known
