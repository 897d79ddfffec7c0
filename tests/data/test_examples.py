import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow_transform as tft
from busy_shop import DAY, WEIGHTS, BusyShop, Row, spec_of
from every_kind import as_sent, to_lists
from records import Example, read_all_examples, read_example_files, read_lists
from shop import DAYS, ITEMS, START, Shop

from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.events import first_and_last
from tfrec.data.examples import write_examples
from tfrec.data.prepared import PreparedData
from tfrec.data.splits import EXAMPLE_PARTS, TRAIN, make_split
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, LABEL, REPEAT, TIME, WEIGHT, task_label
from tfrec.features.signature import sparse_inputs

COLUMNS = Columns(
    {
        "shopper": "user", "sku": "item", "aisle": "catalogue", "channel": "event",
        "weekday": "calendar",
    }
)  # fmt: skip
WEEKDAYS = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"]


@pytest.fixture(scope="module")
def examples(prepared: PreparedData) -> dict[str, list[Example]]:
    return {part: read_all_examples(prepared.examples(part)) for part in EXAMPLE_PARTS}


@pytest.fixture(scope="module")
def vocabularies(prepared: PreparedData, spec: FeatureSpec) -> dict[str, dict[str, int]]:
    """Feature -> value -> its row."""
    transform = tft.TFTransformOutput(str(prepared.transform))
    return {
        name: {word.decode(): row for row, word in enumerate(transform.vocabulary_by_name(name))}
        for name in spec.categories
    }


def with_history(log: list, last: int) -> Iterator[tuple]:
    """Each event of the log, and the items of the shopper's events strictly before it."""
    for number, event in enumerate(log):
        earlier = []
        for other in reversed(log[:number]):
            if other.user != event.user or len(earlier) == last:
                break
            if other.time < event.time:
                earlier.append(other.sku)
        yield event, earlier[::-1]


def test_each_event_is_an_example_of_the_one_part_of_its_time(
    examples: dict[str, list[Example]], log: list
) -> None:
    end = max(event.time for event in log) + 1
    starts = {"train": START, "validation": end - 14 * DAY, "test": end - 7 * DAY}
    ends = {"train": end - 14 * DAY, "validation": end - 7 * DAY, "test": end}

    for part, found in examples.items():
        expected = Counter(
            (int(event.sku.removeprefix("sku-")), event.time)
            for event in log
            if starts[part] <= event.time < ends[part]
        )
        assert Counter((e[ITEM_ROW][0], e[TIME][0]) for e in found) == expected
    assert sum(map(len, examples.values())) == len(log)


def test_parts_tell_what_their_files_hold(prepared: PreparedData, log: list) -> None:
    end = max(event.time for event in log) + 1
    cuts = [START, end - 14 * DAY, end - 7 * DAY, end]
    for part, (start, stop) in zip(EXAMPLE_PARTS, itertools.pairwise(cuts), strict=True):
        mine = [event for event in log if start <= event.time < stop]
        told = prepared.parts[part]

        assert told.examples == len(mine)
        assert told.shoppers == len({event.user for event in mine})
        assert told.first == min(event.time for event in mine)
        assert told.last == max(event.time for event in mine)
        files = read_example_files(prepared.examples(part))
        assert told.files == {name: len(found) for name, found in files.items()}


def test_history_holds_only_what_was_bought_strictly_before(
    examples: dict[str, list[Example]],
    vocabularies: dict[str, dict[str, int]],
    log: list,
) -> None:
    found = Counter(
        (e["shopper"][0], e[TIME][0], e["recent"]) for part in examples.values() for e in part
    )

    shopper, sku = vocabularies["shopper"], vocabularies["sku"]
    expected = Counter(
        (shopper[event.user], event.time, tuple(sku[item] for item in earlier))
        for event, earlier in with_history(log, last=5)
    )
    assert found == expected


def test_repeats_are_flagged_as_a_plain_loop_does(
    examples: dict[str, list[Example]], vocabularies: dict[str, dict[str, int]], log: list
) -> None:
    expected: Counter = Counter()
    bought = set()
    for event in log:
        pair = vocabularies["shopper"][event.user], int(event.sku.removeprefix("sku-"))
        expected[(*pair, event.time, int(pair in bought))] += 1
        bought.add(pair)

    found = Counter(
        (e["shopper"][0], e[ITEM_ROW][0], e[TIME][0], e[REPEAT][0])
        for part in examples.values()
        for e in part
    )
    assert found == expected


def test_each_item_is_an_example_in_the_order_of_the_catalogue(
    prepared: PreparedData, vocabularies: dict[str, dict[str, int]]
) -> None:
    found = read_all_examples(prepared.items)

    behind = len(vocabularies["sku"])
    assert found == [
        {
            ITEM_ROW: (row,),
            "sku": (vocabularies["sku"].get(f"sku-{row:03d}", behind),),
            "aisle": (vocabularies["aisle"][f"aisle-{row % 6}"],),
        }
        for row in range(ITEMS)
    ]


def test_training_examples_are_in_random_order(prepared: PreparedData) -> None:
    for examples in read_example_files(prepared.examples("train")).values():
        times = [example[TIME][0] for example in examples]
        later = sum(b > a for a, b in itertools.pairwise(times))
        assert 0.4 < later / len(times) < 0.6
        assert max(times[:200]) - min(times[:200]) > DAYS * DAY / 2


@pytest.fixture
def write_again(
    prepared: PreparedData, output: PreparedData, data_config: DataConfig, spec: FeatureSpec
) -> Callable[..., None]:
    """Writes the shop's examples anew by a changed `data` section."""
    for name in ("catalogue.parquet", "events", "transform", "item_counts.parquet"):
        (output.path / name).symlink_to(prepared.path / name)

    def run(**data: object) -> None:
        config = DataConfig.model_validate({**data_config.model_dump(), **data})
        split = make_split(config.split, *first_and_last(prepared.events), config.seed)
        write_examples(config, spec, COLUMNS, split, output)

    return run


@pytest.mark.parametrize(("seed", "same"), [(0, True), (1, False)])
def test_seed_decides_the_order(
    write_again: Callable[..., None],
    prepared: PreparedData,
    output: PreparedData,
    seed: int,
    same: bool,
) -> None:
    write_again(seed=seed)

    for part in EXAMPLE_PARTS:
        written = read_all_examples(output.examples(part))
        before = read_all_examples(prepared.examples(part))
        assert (written == before) is same
        assert sorted(e[TIME] + e[ITEM_ROW] for e in written) == sorted(
            e[TIME] + e[ITEM_ROW] for e in before
        )


def test_sequences_are_the_last_event_and_each_before_which_a_history_has_room(
    write_again: Callable[..., None],
    output: PreparedData,
    vocabularies: dict[str, dict[str, int]],
    log: list,
    spec: FeatureSpec,
) -> None:
    write_again(sequences=True)

    longest, end = spec.sequences["recent"].last, max(event.time for event in log) + 1
    cuts = [START, end - 14 * DAY, end - 7 * DAY, end]
    shoppers = {row: user for user, row in vocabularies["shopper"].items()}
    for number, part in enumerate(EXAMPLE_PARTS):
        times: dict[str, list[int]] = {}
        for event in sorted(log, key=lambda event: event.time):
            if cuts[number] <= event.time < cuts[number + 1]:
                times.setdefault(event.user, []).append(event.time)
        expected = Counter((user, t) for user, own in times.items() for t in own[::-1][::longest])
        found = Counter(
            (shoppers[example["shopper"][0]], example[TIME][0])
            for example in read_all_examples(output.sequences(part))
        )
        assert found == expected
        assert output.example_files(part, "sequences").examples == sum(expected.values())
        assert set(output.example_files(part, "sequences").files) == set(output.parts[part].files)


def test_sequences_hold_every_event_once_also_those_of_one_time(
    write_again: Callable[..., None],
    output: PreparedData,
    vocabularies: dict[str, dict[str, int]],
    log: list,
    spec: FeatureSpec,
) -> None:
    write_again(sequences=True)

    longest, end = spec.sequences["recent"].last, max(event.time for event in log) + 1
    held = Counter()
    for example in read_all_examples(output.sequences(TRAIN)):
        whole = [*example["recent"], example["sku"][0]]
        assert len(whole) <= longest + 1
        held[example["shopper"][0]] += len(whole[-longest:])
    shopper = vocabularies["shopper"]
    assert held == Counter(shopper[e.user] for e in log if e.time < end - 14 * DAY)


@pytest.mark.parametrize("popularity", [0, 0.75])
def test_negatives_are_items_that_the_shopper_never_touched(
    write_again: Callable[..., None],
    output: PreparedData,
    vocabularies: dict[str, dict[str, int]],
    shop: Shop,
    log: list,
    popularity: float,
) -> None:
    write_again(labels={"kind": "negatives", "per_positive": 3, "popularity": popularity})

    end = max(event.time for event in log) + 1
    cuts = [START, end - 14 * DAY, end - 7 * DAY, end]
    sold = Counter(event.sku for event in log if event.time < cuts[1])
    items = {row.pop("sku"): row for row in pa.parquet.read_table(shop.items).to_pylist()}
    skus = sorted(items)
    shoppers = {row: user for user, row in vocabularies["shopper"].items()}
    for number, part in enumerate(EXAMPLE_PARTS):
        known = {(e.user, e.sku) for e in log if e.time < cuts[number + 1]}
        start, stop = cuts[number : number + 2]
        mine = Counter((e.user, e.sku, e.time) for e in log if start <= e.time < stop)
        positives: Counter = Counter()
        of_event: Counter = Counter()
        for example in read_all_examples(output.labelled(part)):
            user, sku = shoppers[example["shopper"][0]], skus[example[ITEM_ROW][0]]
            (at,) = example[TIME]
            behind = len(vocabularies["sku"])
            assert example["sku"] == (vocabularies["sku"].get(sku, behind),)
            assert example["aisle"] == (vocabularies["aisle"][items[sku]["aisle"]],)
            if example[LABEL] == (1,):
                positives[user, sku, at] += 1
            else:
                assert (user, sku) not in known
                assert sold[sku] > 0 or popularity == 0
                of_event[user, at] += 1
        assert positives == mine
        asked: Counter = Counter()
        for (user, _, at), count in mine.items():
            asked[user, at] += 3 * count
        assert of_event == asked


def test_a_list_holds_an_event_and_its_negatives(
    write_again: Callable[..., None], output: PreparedData
) -> None:
    write_again(labels={"kind": "negatives", "per_positive": 2, "lists": True})

    for part in EXAMPLE_PARTS:
        lists = read_lists(output.lists(part))
        for events in lists:
            assert [example[LABEL] for example in events] == [(1,), (0,), (0,)]
            assert len({(example["shopper"], example[TIME]) for example in events}) == 1
        assert len(lists) == output.example_files(part, "lists").examples
        assert hashed(chain(*lists)) == hashed(read_all_examples(output.labelled(part)))
        times = [events[0][TIME] for events in lists]
        assert times != sorted(times)


@pytest.mark.parametrize("part", EXAMPLE_PARTS)
def test_a_list_holds_the_impressions_of_a_session(
    busy: PreparedData, busy_shop: BusyShop, part: str
) -> None:
    sessions: list[list[int]] = []
    last: Row = {"visitor": None}
    for row in busy_shop.events:
        if not sees(part, busy_shop_end(busy_shop), row):
            continue
        if row["visitor"] != last["visitor"] or row["at"] - last["at"] > 1800:
            sessions.append([])
        if row["action"] == "shown":
            sessions[-1].append(row["at"])
        last = row

    lists = read_lists(busy.lists(part))

    found = sorted([example[TIME][0] for example in shown] for shown in lists)
    assert found == sorted(filter(None, sessions))
    assert len(lists) == busy.example_files(part, "lists").examples
    assert hashed(chain(*lists)) == hashed(read_all_examples(busy.labelled(part)))


def hashed(examples: Iterable[Example]) -> Counter:
    return Counter(tuple(sorted(example.items())) for example in examples)


def sees(part: str, end: int, row: Row) -> bool:
    """Whether an event of the busy shop is of a part."""
    cuts = {"train": (0, 12), "validation": (12, 6), "test": (6, 0)}
    first, last = (0 if days == 0 and part == "train" else end - days * DAY for days in cuts[part])
    return (part == "train" or first <= row["at"]) and row["at"] < last


def raw_features(shop: BusyShop, row: Row) -> Row:
    """The raw features of an event of the busy shop, by plain loops over all its rows."""
    (item,) = (item for item in shop.items if item["product"] == row["product"])
    running = [
        (offer["from"], number)
        for number, offer in enumerate(shop.promotions)
        if offer["product"] == row["product"] and offer["from"] <= row["at"] < offer["to"]
    ]
    offer = shop.promotions[max(running)[1]] if running else {"offer": None, "poster": None}
    before = [
        other
        for other in shop.events
        if other["visitor"] == row["visitor"] and other["at"] < row["at"]
    ]
    session = row["at"]
    for other in reversed(before):
        if session - other["at"] > 1800:
            break
        session = other["at"]
    counted = [other for other in before if WEIGHTS[other["action"]]]
    aisles = {item["product"]: item["aisle"] for item in shop.items}
    return {
        **{name: row[name] for name in ("visitor", "product", "device", "paid")},
        **{name: row[name] for name in ("stars", "importance")},
        "recent": [other["product"] for other in counted][-3:],
        "recently_shown": [o["product"] for o in before if o["action"] == "shown"][-3:],
        "in_session": [o["product"] for o in counted if o["at"] >= session][-3:],
        "recent_aisles": [aisle for o in counted[-3:] if (aisle := aisles[o["product"]])],
        "events_before": float(len(before)),
        "days_since_last_visit": (row["at"] - before[-1]["at"]) / DAY if before else None,
        "aisle": item["aisle"],
        "tags": item["tags"].split("|") if item["tags"] else [],
        "price": item["price"],
        "title": item["title"],
        "image": item["image"] or [0.0, 0.0],
        "offer": offer["offer"],
        "poster": offer["poster"] or [0.0, 0.0],
        "weekday": WEEKDAYS[row["at"] // DAY % 7],
    }


def through_graph(prepared: PreparedData, rows: list[Row]) -> list[Example]:
    """What the serving graph makes of raw features."""
    spec = spec_of()
    layer = tft.TFTransformOutput(str(prepared.transform)).transform_features_layer()
    inputs = {name: as_sent(spec[name], [row[name] for row in rows]) for name in spec.root}
    columns = {name: to_lists(column) for name, column in layer(sparse_inputs(inputs)).items()}
    return [{name: tuple(columns[name][row]) for name in columns} for row in range(len(rows))]


@pytest.mark.parametrize("part", EXAMPLE_PARTS)
def test_features_of_every_kind_equal_what_the_serving_graph_makes_of_the_raw_ones(
    busy: PreparedData, busy_shop: BusyShop, part: str
) -> None:
    end = busy_shop_end(busy_shop)
    mine = [row for row in busy_shop.events if sees(part, end, row) and WEIGHTS[row["action"]]]
    graph = through_graph(busy, [raw_features(busy_shop, row) for row in mine])

    found = {example[TIME][0]: example for example in read_all_examples(busy.examples(part))}

    assert len(mine) > 20
    assert sorted(found) == sorted(row["at"] for row in mine)
    for row, expected in zip(mine, graph, strict=True):
        example = found[row["at"]]
        assert {name: example[name] for name in expected} == {
            name: pytest.approx(values, rel=1e-5, abs=1e-6) for name, values in expected.items()
        }
        assert example[WEIGHT] == (WEIGHTS[row["action"]],)
        assert set(example) == {*expected, ITEM_ROW, TIME, REPEAT, WEIGHT}


@pytest.mark.parametrize("part", EXAMPLE_PARTS)
def test_impressions_are_labelled_by_what_followed_within_the_part(
    busy: PreparedData, busy_shop: BusyShop, part: str
) -> None:
    end = busy_shop_end(busy_shop)
    mine = [row for row in busy_shop.events if sees(part, end, row)]
    shown = [row for row in mine if row["action"] == "shown"]
    graph = through_graph(busy, [raw_features(busy_shop, row) for row in shown])

    found = {example[TIME][0]: example for example in read_all_examples(busy.labelled(part))}

    assert sorted(found) == sorted(row["at"] for row in shown)
    assert busy.example_files(part, "labelled").examples == len(shown)
    labels = Counter()
    for row, expected in zip(shown, graph, strict=True):
        taken = any(
            (other["visitor"], other["product"]) == (row["visitor"], row["product"])
            and other["action"] in ("view", "buy")
            and 0 <= other["at"] - row["at"] <= 1800
            for other in mine
        )
        example = found[row["at"]]
        assert example[LABEL] == (taken,)
        assert example["offer"] == expected["offer"]
        assert example["recent"] == expected["recent"]
        labels[taken] += 1
    assert min(labels[True], labels[False]) > 3


def test_each_task_has_a_label_of_its_own(busy_shop: BusyShop, tmp_path: Path) -> None:
    from tfrec.stages.prepare import prepare

    config = busy_shop.write(
        tmp_path,
        split={"kind": "time", "validation": 6 * DAY, "test": 6 * DAY},
        labels={
            "kind": "impressions", "impression": "shown", "positive": ["view", "buy"],
            "tasks": {"click": ["view"], "conversion": ["buy"]},
        },
    )  # fmt: skip
    spec = spec_of("visitor", "product", "recent")
    data = PreparedData(prepare(config, spec, tmp_path / "prepare").path)

    found = {example[TIME][0]: example for example in read_all_examples(data.labelled("train"))}

    train = [row for row in busy_shop.events if sees("train", busy_shop_end(busy_shop), row)]
    seen = Counter()
    for at, example in found.items():
        (shown,) = (row for row in train if row["at"] == at)
        followed = {
            other["action"]
            for other in train
            if (other["visitor"], other["product"]) == (shown["visitor"], shown["product"])
            and 0 <= other["at"] - at <= 1800
        }
        labels = {name: example[task_label(name)] for name in ("click", "conversion")}
        assert labels == {"click": ("view" in followed,), "conversion": ("buy" in followed,)}
        assert example[LABEL] == ("view" in followed or "buy" in followed,)
        seen[labels["click"] + labels["conversion"]] += 1
    assert len(found) == sum(row["action"] == "shown" for row in train)
    assert {(0, 0), (1, 0), (1, 1)} <= set(seen)


def busy_shop_end(shop: BusyShop) -> int:
    return max(row["at"] for row in shop.events) + 1


def test_items_have_no_promotion_outside_of_events(busy: PreparedData, busy_shop: BusyShop) -> None:
    found = read_all_examples(busy.items)

    anything = {name: [] for name in ("recent", "recently_shown", "in_session", "recent_aisles")}
    raw = {
        **raw_features(busy_shop, busy_shop.events[0]), **anything, "offer": None,
        "poster": [0.0, 0.0],
    }  # fmt: skip
    (nothing,) = through_graph(busy, [raw])
    assert len(found) == len(busy_shop.items)
    assert {example["offer"] for example in found} == {nothing["offer"]}
    assert {example["poster"] for example in found} == {(0.0, 0.0)}
    assert [example["image"] for example in found] == [
        tuple(item["image"] or [0.0, 0.0]) for item in busy_shop.items
    ]
    assert Catalogue(busy.catalogue).ids.tolist() == [item["product"] for item in busy_shop.items]
