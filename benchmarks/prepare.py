"""Preparation on Beam against plain pyarrow + tfx_bsl, and against element-wise Beam.

All sides make the same of the same log of a synthetic shop: every event as an Example with its
item, category, shopper, time and the shopper's last items, as TFRecords. The framework's side is
the whole prepare stage: it also checks every value, fits vocabularies, and writes queries,
profiles and the catalogue. The plain side is one thread that holds the log in memory. The
element-wise side sees fewer events, as its rate does not depend on their number.

    python benchmarks/prepare.py            # 20 million events, about 20 minutes
    python benchmarks/prepare.py --quick    # 300,000 events, a look: fixed costs weigh much

The last line is JSON: rows_per_second of the framework; vs_plain and vs_elementwise, its rate as a
multiple of the others'; peak_memory_growth, its peak memory as a multiple of that for a quarter of
the events.
"""

import argparse
import importlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

LAST = 10
FEATURES = {
    "user_id": {"role": "user", "kind": "categorical", "embedding": 8},
    "recent_items": {"role": "user", "kind": "sequence", "of": "item_id", "last": LAST},
    "item_id": {"role": "item", "kind": "categorical", "embedding": 8},
    "category": {"role": "item", "kind": "categorical", "embedding": 8},
}
COLUMNS = ["user_id", "item_id", "time"]


def framework(shop: Path, output: Path) -> None:
    """Runs the prepare stage."""
    from tfrec.config import validate
    from tfrec.data.config import DataConfig
    from tfrec.features import FeatureSpec
    from tfrec.stages.prepare import prepare

    data = {
        "events": {
            "source": str(shop / "events"), "user": "user_id", "item": "item_id", "time": "time",
        },
        "items": {"source": str(shop / "items.parquet"), "id": "item_id"},
        "split": {"kind": "time", "validation": "7d", "test": "7d"},
        "clean": {"duplicates": "keep"},
    }  # fmt: skip
    features = validate(FeatureSpec, FEATURES)
    prepare(validate(DataConfig, data), features, output / "prepare")


def plain(shop: Path, output: Path) -> None:
    """Does it in one go in memory."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    import tensorflow as tf
    from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

    items = pq.read_table(shop / "items.parquet", columns=["item_id", "category"])
    events = pq.read_table(shop / "events", columns=COLUMNS)
    item = pc.index_in(events["item_id"], items["item_id"].combine_chunks()).to_numpy()
    category = items["category"].combine_chunks().dictionary_encode().indices.to_numpy()[item]
    user = events["user_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    times = events["time"].cast(pa.timestamp("s")).cast(pa.int64()).to_numpy()
    order = np.lexsort([item, times, user])
    user, item, category, times = (column[order] for column in (user, item, category, times))
    rows = np.arange(len(user))
    new_user = np.r_[True, user[1:] != user[:-1]]
    new_moment = new_user | np.r_[True, times[1:] != times[:-1]]
    ends = np.maximum.accumulate(np.where(new_moment, rows, 0))
    starts = np.maximum(np.maximum.accumulate(np.where(new_user, rows, 0)), ends - LAST)
    pairs = user.astype(np.int64) * items.num_rows + item
    repeat = np.ones(len(rows), np.int64)
    repeat[np.unique(pairs, return_index=True)[1]] = 0
    encoder = RecordBatchToExamplesEncoder()
    with tf.io.TFRecordWriter(str(output / "examples-all.tfrecord")) as file:
        for begin in range(0, len(rows), 4096):
            chunk = np.random.default_rng(begin).permutation(rows[begin : begin + 4096])
            lengths = ends[chunk] - starts[chunk]
            offsets = np.r_[0, np.cumsum(lengths)]
            members = np.arange(offsets[-1]) + np.repeat(starts[chunk] - offsets[:-1], lengths)
            one_each = pa.array(np.arange(len(chunk) + 1, dtype=np.int32))
            columns = {
                name: pa.ListArray.from_arrays(one_each, pa.array(values[chunk], pa.int64()))
                for name, values in {
                    "user_id": user, "item_id": item, "category": category, "_item_row": item,
                    "_time": times, "_repeat": repeat,
                }.items()
            }  # fmt: skip
            weights = pa.array(np.ones(len(chunk), np.float32))
            columns["_weight"] = pa.ListArray.from_arrays(one_each, weights)
            columns["recent_items"] = pa.ListArray.from_arrays(
                pa.array(offsets, pa.int32()), pa.array(item[members], pa.int64())
            )
            batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
            for example in encoder.encode(batch):
                file.write(example)


def elementwise(shop: Path, output: Path) -> None:
    """Does it in Beam, one Python object a row."""
    import apache_beam as beam
    import pyarrow.parquet as pq
    import tensorflow as tf
    from apache_beam.options.pipeline_options import PipelineOptions

    table = pq.read_table(shop / "items.parquet", columns=["item_id", "category"])
    items = {row["item_id"]: (n, row["category"]) for n, row in enumerate(table.to_pylist())}
    categories = {name: n for n, name in enumerate(sorted({c for _, c in items.values()}))}

    def parse(row: dict) -> tuple[str, tuple[int, int, int]]:
        number, category = items[row["item_id"]]
        return row["user_id"], (int(row["time"].timestamp()), number, categories[category])

    def encode(group: tuple[str, Iterable[tuple[int, int, int]]]) -> Iterator[bytes]:
        user, events, seen = group[0], sorted(group[1]), set()
        for time_of_event, item, category in events:
            recent = [number for moment, number, _ in events if moment < time_of_event][-LAST:]
            values = {
                "user_id": [int(user[1:])], "item_id": [item], "category": [category],
                "_item_row": [item], "_time": [time_of_event], "_repeat": [int(item in seen)],
                "recent_items": recent,
            }  # fmt: skip
            seen.add(item)
            features = {
                name: tf.train.Feature(int64_list=tf.train.Int64List(value=value))
                for name, value in values.items()
            }
            one = tf.train.FloatList(value=[1.0])
            features["_weight"] = tf.train.Feature(float_list=one)
            example = tf.train.Example(features=tf.train.Features(feature=features))
            yield example.SerializeToString()

    runner = "apache_beam.runners.portability.fn_api_runner.fn_runner.FnApiRunner"
    with beam.Pipeline(options=PipelineOptions(["--runner", runner])) as pipeline:
        _ = (
            pipeline
            | beam.io.ReadFromParquet(str(shop / "events" / "*.parquet"), columns=COLUMNS)
            | beam.Map(parse)
            | beam.GroupByKey()
            | beam.FlatMap(encode)
            | beam.io.WriteToTFRecord(str(output / "examples"), file_name_suffix=".tfrecord")
        )


SIDES: dict[str, Callable[[Path, Path], None]] = {
    "framework": framework, "plain": plain, "elementwise": elementwise,
}  # fmt: skip


def run_side(name: str, shop: Path) -> None:
    """Runs one side in this process and prints what it took."""
    for package in ("apache_beam", "tensorflow_transform.beam", "tfx_bsl.coders.example_coder"):
        importlib.import_module(package)  # before the clock starts
    with tempfile.TemporaryDirectory(dir=shop.parent) as output:
        started = time.monotonic()
        SIDES[name](shop, Path(output))
        seconds = time.monotonic() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        examples = count_examples(Path(output))
    print(json.dumps({"examples": examples, "seconds": seconds, "peak_bytes": peak}))


def count_examples(folder: Path) -> int:
    """Counts the Examples of events that a side wrote."""
    import tensorflow as tf

    files = [str(f) for f in folder.rglob("*.tfrecord") if f.name != "items.tfrecord"]
    return sum(len(batch) for batch in tf.data.TFRecordDataset(files).batch(65_536))


def measure(name: str, shop: Path, events: int) -> dict[str, float]:
    """Runs one side in a process of its own."""
    command = [sys.executable, __file__, "--side", name, "--shop", str(shop)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    if figures["examples"] != events:
        raise SystemExit(f"{name}: {figures['examples']:,} Examples of {events:,} events")
    rate, peak = events / figures["seconds"], figures["peak_bytes"] / 1e9
    print(f"{name:12} {events:12,} events {rate:12,.0f} rows/s {peak:6.2f} GB peak", flush=True)
    return {"rate": rate, "peak": peak}


def make_shop(folder: Path, events: int) -> Path:
    """Makes a synthetic shop."""
    from tfrec.data.synthetic import SyntheticShop, generate

    shop = folder / f"shop-{events}"
    generate(SyntheticShop(events=events, users=events // 100, items=50_000), shop)
    return shop


def main() -> None:
    """Measures all sides and prints the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few events, for a look")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--shop", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        run_side(arguments.side, arguments.shop)
        return
    events, few = (300_000, 50_000) if arguments.quick else (20_000_000, 1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        shops = {count: make_shop(Path(folder), count) for count in (events, events // 4, few)}
        ours = measure("framework", shops[events], events)
        quarter = measure("framework", shops[events // 4], events // 4)
        theirs = measure("plain", shops[events], events)
        slow = measure("elementwise", shops[few], few)
    result = {
        "rows_per_second": round(ours["rate"]),
        "vs_plain": round(ours["rate"] / theirs["rate"], 2),
        "vs_elementwise": round(ours["rate"] / slow["rate"], 1),
        "peak_memory_growth": round(ours["peak"] / quarter["peak"], 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
