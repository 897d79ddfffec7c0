from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from numbered_examples import BATCH, LENGTHS, ROWS, SPEC, name_files, write_files

from tfrec.data.input_pipeline import read_shuffled
from tfrec.data.uniform_items import with_uniform_items
from tfrec.features.parsing import ITEM_ROW, UNIFORM

COUNT = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory.mktemp("items"), LENGTHS)


def read(
    folder: Path, batches: int, seed: int = 1, start: int = 0, reader: int | tf.Tensor = 0
) -> np.ndarray:
    """The items beside each batch: `[batches, COUNT]`."""
    events = read_shuffled(folder, name_files(LENGTHS), SPEC, BATCH, seed)
    beside = with_uniform_items(events, folder, SPEC, COUNT, seed, start, reader)
    return np.stack([batch[UNIFORM + ITEM_ROW].numpy() for batch in beside.take(batches)])


def test_items_stand_beside_the_batch_with_their_features_and_leave_it_as_it_was(
    folder: Path,
) -> None:
    events = read_shuffled(folder, name_files(LENGTHS), SPEC, BATCH, seed=1)

    batch = next(iter(with_uniform_items(events, folder, SPEC, COUNT, seed=1)))

    alone = next(iter(events))
    assert {*batch} - {*alone} == {UNIFORM + ITEM_ROW, UNIFORM + "sku"}
    np.testing.assert_array_equal(batch[ITEM_ROW], alone[ITEM_ROW])
    np.testing.assert_array_equal(batch[UNIFORM + "sku"], batch[UNIFORM + ITEM_ROW] * 10)


def test_every_item_is_as_likely(folder: Path) -> None:
    draws = 2000 * COUNT

    counts = np.bincount(read(folder, 2000).ravel(), minlength=ROWS)

    expected = draws / ROWS
    assert len(counts) == ROWS
    assert (abs(counts - expected) < 5 * np.sqrt(expected)).all()
    assert counts.var() == pytest.approx(expected, rel=0.3)


def test_draws_go_on_where_another_reader_stopped(folder: Path) -> None:
    whole = read(folder, 12)

    np.testing.assert_array_equal(read(folder, 5, start=7), whole[7:])


def test_draws_follow_seed_and_reader(folder: Path) -> None:
    first = read(folder, 3)

    np.testing.assert_array_equal(first, read(folder, 3))
    assert (first != read(folder, 3, seed=2)).any()
    assert (first != read(folder, 3, reader=tf.constant(1))).any()
    assert (first[0] != first[1]).any()
