import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from shop import DAYS, ITEMS, START, Shop

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.events import USER
from tfrec.data.examples import write_examples
from tfrec.data.prepared import PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.data.split import Window
from tfrec.data.transform import fit_transform
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, REPEAT, TIME

DAY = 86_400
WEEKDAYS = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"]
COLUMNS = Columns("shopper", "sku", ("aisle",), ("channel",), ("weekday",))

Example = dict[str, tuple[int, ...]]


def read_examples(folder: Path) -> list[Example]:
    files = sorted(map(str, folder.glob("*.tfrecord")))
    parsed = map(tf.train.Example.FromString, tf.data.TFRecordDataset(files).as_numpy_iterator())
    return [
        {name: tuple(value.int64_list.value) for name, value in example.features.feature.items()}
        for example in parsed
    ]


@pytest.fixture(scope="module")
def examples(prepared: PreparedData) -> dict[str, list[Example]]:
    windows = ("train", "validation", "test")
    return {window: read_examples(prepared.examples(window)) for window in windows}


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


def test_each_event_is_an_example_of_the_one_window_of_its_time(
    examples: dict[str, list[Example]], log: list
) -> None:
    end = max(event.time for event in log) + 1
    starts = {"train": START, "validation": end - 14 * DAY, "test": end - 7 * DAY}
    ends = {"train": end - 14 * DAY, "validation": end - 7 * DAY, "test": end}

    for window, found in examples.items():
        expected = Counter(
            (int(event.sku.removeprefix("sku-")), event.time)
            for event in log
            if starts[window] <= event.time < ends[window]
        )
        assert Counter((e[ITEM_ROW][0], e[TIME][0]) for e in found) == expected
    assert sum(map(len, examples.values())) == len(log)


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


def test_transformed_features_equal_what_the_transform_graph_makes_of_the_raw_ones(
    examples: dict[str, list[Example]],
    prepared: PreparedData,
    spec: FeatureSpec,
    shop: Shop,
    log: list,
) -> None:
    aisles = pa.parquet.read_table(shop.items).to_pydict()
    aisle_of = dict(zip(aisles["sku"], aisles["aisle"], strict=True))
    raw: dict[str, list] = {name: [] for name in spec.root}
    for event, earlier in with_history(log, last=5):
        raw["shopper"].append([event.user])
        raw["recent"].append(earlier)
        raw["sku"].append([event.sku])
        raw["aisle"].append([aisle_of[event.sku]])
        raw["channel"].append([event.channel])
        raw["weekday"].append([WEEKDAYS[event.time // DAY % 7]])
    layer = tft.TFTransformOutput(str(prepared.transform)).transform_features_layer()

    rows = layer(
        {
            name: tf.ragged.constant(values, ragged_rank=1).to_sparse()
            for name, values in raw.items()
        }
    )

    columns = {name: column.numpy().tolist() for name, column in rows.items() if name != "recent"}
    columns["recent"] = tf.RaggedTensor.from_sparse(rows["recent"]).to_list()
    names = [name for name in spec.root if name != "recent"]
    expected = Counter(
        (event.time, *(columns[name][number] for name in names), *columns["recent"][number])
        for number, event in enumerate(log)
    )
    found = Counter(
        (e[TIME][0], *(e[name][0] for name in names), *e["recent"])
        for part in examples.values()
        for e in part
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
    found = read_examples(prepared.items)

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
    for file in prepared.examples("train").glob("*.tfrecord"):
        times = [
            tf.train.Example.FromString(record).features.feature[TIME].int64_list.value[0]
            for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
        ]
        later = sum(b > a for a, b in itertools.pairwise(times))
        assert 0.4 < later / len(times) < 0.6
        assert max(times[:200]) - min(times[:200]) > DAYS * DAY / 2


@pytest.mark.parametrize(("seed", "same"), [(0, True), (1, False)])
def test_seed_decides_the_order(
    prepared: PreparedData,
    output: PreparedData,
    data_config: DataConfig,
    spec: FeatureSpec,
    seed: int,
    same: bool,
) -> None:
    for part in ("catalogue.parquet", "events", "transform"):
        (output.path / part).symlink_to(prepared.path / part)

    config = data_config.model_copy(update={"seed": seed})
    write_examples(config, spec, COLUMNS, prepared.windows, output)

    written = read_examples(output.examples("test"))
    before = read_examples(prepared.examples("test"))
    assert (written == before) is same
    assert sorted(e[TIME] + e[ITEM_ROW] for e in written) == sorted(
        e[TIME] + e[ITEM_ROW] for e in before
    )


def test_sequences_leave_missing_values_out_of_examples_and_queries_alike(
    output: PreparedData,
    small_config: DataConfig,
    write_catalogue: Callable[..., Catalogue],
) -> None:
    content = {
        "aisle": {"role": "item", "kind": "categorical", "embedding": 2},
        "aisles": {"role": "user", "kind": "sequence", "of": "aisle", "last": 4},
    }
    spec = validate(FeatureSpec, content)
    columns = Columns("shopper", "sku", ("aisle",), (), ())
    write_catalogue(["a", "b", "c"], aisle=["dairy", None, "bread"])
    output.events.mkdir()
    events = {
        USER: ["u"] * 5,
        TIME: [10, 11, 12, 13, 60],
        ITEM_ROW: [0, 1, 1, 2, 1],
    }
    pa.parquet.write_table(pa.table(events), output.events / "events-0.parquet")
    windows = {"train": Window(0, 50), "test": Window(50, 80)}
    fit_transform(small_config, spec, columns, windows["train"], output)

    write_examples(small_config, spec, columns, windows, output)

    words = tft.TFTransformOutput(str(output.transform)).vocabulary_by_name("aisle")
    of_time = {
        example[TIME][0]: [words[row].decode() for row in example["aisles"]]
        for window in windows
        for example in read_examples(output.examples(window))
    }
    assert of_time == {
        10: [], 11: ["dairy"], 12: ["dairy"], 13: ["dairy"], 60: ["dairy", "bread"]
    }  # fmt: skip
    queries = QuerySet.read(output.queries("test"))
    assert queries.inputs(["aisles"])["aisles"].tolist() == [of_time[60]]
