from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfrec.config import validate
from tfrec.data.input_pipeline import read_examples, read_serialized
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, REPEAT, TIME, WEIGHT

FILES, ROWS_PER_FILE, BATCH = 8, 50, 20
ROWS = FILES * ROWS_PER_FILE
SPEC = validate(
    FeatureSpec,
    {
        "sku": {"role": "item", "kind": "categorical", "embedding": 2},
        "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 3},
    },
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_examples(tmp_path_factory.mktemp("examples"), FILES)


def write_examples(folder: Path, files: int) -> Path:
    """Spreads examples, numbered by their item row, over files."""
    for file, rows in enumerate(np.arange(ROWS).reshape(files, -1)):
        with tf.io.TFRecordWriter(str(folder / f"{file}.tfrecord")) as writer:
            for row in rows.tolist():
                writer.write(example(row))
    return folder


def example(row: int) -> bytes:
    values = {
        ITEM_ROW: [row],
        "sku": [row * 10],
        "recent": [row] * (row % 4),
        TIME: [1000 + row],
        REPEAT: [row % 2],
    }
    features = {
        name: tf.train.Feature(int64_list=tf.train.Int64List(value=value))
        for name, value in values.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def item_rows(batches: tf.data.Dataset) -> list[list[int]]:
    return [batch[ITEM_ROW].numpy().tolist() for batch in batches]


def test_batch_holds_features_and_what_an_example_carries_beside_them(folder: Path) -> None:
    batch = next(iter(read_examples(folder, SPEC, BATCH)))

    assert sorted(batch) == [ITEM_ROW, REPEAT, TIME, WEIGHT, "recent", "sku"]
    rows = batch[ITEM_ROW].numpy()
    assert batch["sku"].numpy().tolist() == (rows * 10).tolist()
    assert batch["recent"].to_list() == [[row] * (row % 4) for row in rows.tolist()]
    assert batch[TIME].numpy().tolist() == (1000 + rows).tolist()
    assert batch[REPEAT].numpy().tolist() == (rows % 2).tolist()
    assert batch[WEIGHT].numpy().tolist() == [1.0] * BATCH


def test_weight_is_made_of_the_batch(folder: Path) -> None:
    batches = read_examples(
        folder, SPEC, BATCH, weight=lambda batch: tf.cast(batch[REPEAT], tf.float32) + 0.5
    )

    batch = next(iter(batches))

    assert (batch[WEIGHT].numpy() == batch[REPEAT].numpy() + 0.5).all()


def test_reading_in_order_gives_every_example_once_and_the_rest_that_fills_no_batch(
    folder: Path,
) -> None:
    batches = item_rows(read_examples(folder, SPEC, batch_size=150))

    assert [len(batch) for batch in batches] == [150, 150, 100]
    assert sorted(chain.from_iterable(batches)) == list(range(ROWS))
    assert batches == item_rows(read_examples(folder, SPEC, batch_size=150))


@pytest.mark.parametrize("files", [1, 2, 8])
def test_one_pass_of_shuffled_reading_covers_all_but_what_waits_to_be_shuffled(
    tmp_path: Path, files: int
) -> None:
    folder = write_examples(tmp_path, files)

    batches = item_rows(
        read_examples(folder, SPEC, BATCH, shuffle=True, seed=1).take(ROWS // BATCH)
    )

    waiting = 4 * BATCH
    assert len(set(chain.from_iterable(batches))) >= ROWS - waiting


def test_shuffled_reading_goes_on_for_ever_and_reads_all_alike(folder: Path) -> None:
    epochs = 5

    batches = item_rows(
        read_examples(folder, SPEC, BATCH, shuffle=True, seed=1).take(epochs * ROWS // BATCH)
    )

    assert {len(batch) for batch in batches} == {BATCH}
    times_seen = Counter(chain.from_iterable(batches))
    assert set(times_seen) == set(range(ROWS))
    assert set(times_seen.values()) <= {epochs - 1, epochs, epochs + 1}


@pytest.mark.parametrize("shuffle", [False, True])
def test_readers_share_the_files_among_them(folder: Path, shuffle: bool) -> None:
    def read(reader: int) -> set[int]:
        share = (3, tf.constant(reader, tf.int64))
        batches = read_examples(folder, SPEC, BATCH, shuffle=shuffle, seed=1, share=share)
        return set(chain.from_iterable(item_rows(batches.take(4 * ROWS // BATCH))))

    first, second, third = map(read, range(3))

    assert len(first) + len(second) + len(third) == ROWS
    assert first | second | third == set(range(ROWS))


def test_shuffled_batches_mix_files(folder: Path) -> None:
    batches = item_rows(read_examples(folder, SPEC, BATCH, shuffle=True, seed=1).take(5))

    for batch in batches:
        assert len({row // ROWS_PER_FILE for row in batch}) > 1
        assert batch != sorted(batch)


def test_seed_decides_the_order(folder: Path) -> None:
    def read(seed: int) -> list[list[int]]:
        return item_rows(read_examples(folder, SPEC, BATCH, shuffle=True, seed=seed).take(30))

    assert read(1) == read(1)
    assert read(1) != read(2)


def test_each_pass_has_an_order_of_its_own(folder: Path) -> None:
    steps = ROWS // BATCH
    batches = item_rows(read_examples(folder, SPEC, BATCH, shuffle=True, seed=1).take(2 * steps))

    assert batches[:steps] != batches[steps:]


def test_serialized_examples_are_read_in_the_order_of_the_files(folder: Path) -> None:
    batches = list(read_serialized(folder, batch_size=150))

    assert [len(batch) for batch in batches] == [150, 150, 100]
    parsed = [tf.train.Example.FromString(e) for batch in batches for e in batch.numpy()]
    rows = [e.features.feature[ITEM_ROW].int64_list.value[0] for e in parsed]
    assert rows == list(range(ROWS))
