from collections import Counter
from itertools import chain
from pathlib import Path

import pytest
import tensorflow as tf
from numbered_examples import BATCH, LENGTHS, ROWS, SPEC, example, name_files, write_files

from tfrec.data import input_pipeline
from tfrec.data.input_pipeline import read_examples, read_serialized, read_shuffled
from tfrec.features.parsing import EXAMPLES, ITEM_ROW, LIST, REPEAT, TIME, WEIGHT

BATCHES = ROWS // BATCH

Files = dict[str, int]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory.mktemp("examples"), LENGTHS)


@pytest.fixture
def files() -> Files:
    return name_files(LENGTHS)


def item_rows(batches: tf.data.Dataset) -> list[list[int]]:
    return [batch[ITEM_ROW].numpy().tolist() for batch in batches]


def test_batch_holds_features_and_what_an_example_carries_beside_them(folder: Path) -> None:
    batch = next(iter(read_examples(folder, SPEC, BATCH)))

    assert sorted(batch) == [ITEM_ROW, REPEAT, TIME, WEIGHT, "recent", "sku", "trust"]
    rows = batch[ITEM_ROW].numpy()
    assert batch["sku"].numpy().tolist() == (rows * 10).tolist()
    assert batch["recent"].to_list() == [[row] * (row % 4) for row in rows.tolist()]
    assert batch[TIME].numpy().tolist() == (1000 + rows).tolist()
    assert batch[REPEAT].numpy().tolist() == (rows % 2).tolist()


def test_lists_are_read_whole_and_make_a_row_for_each_item(tmp_path: Path) -> None:
    lists, first = [], 0
    for length in (3, 1, 4, 2, 5, 1):
        lists.append([*range(first, first + length)])
        first += length
    with tf.io.TFRecordWriter(str(tmp_path / "0.tfrecord")) as writer:
        for rows in lists:
            inner = tf.train.Feature(bytes_list=tf.train.BytesList(value=map(example, rows)))
            writer.write(
                tf.train.Example(
                    features=tf.train.Features(feature={EXAMPLES: inner})
                ).SerializeToString()
            )

    read = read_shuffled(tmp_path, {"0.tfrecord": 6}, SPEC, 2, seed=1, kind="lists")

    found = []
    for batch in read.take(3):
        numbers, rows = batch[LIST].numpy(), batch[ITEM_ROW].numpy()
        assert set(numbers) == {0, 1}
        assert batch["recent"].to_list() == [[row] * (row % 4) for row in rows.tolist()]
        found += [rows[numbers == number].tolist() for number in (0, 1)]
    assert sorted(found) == lists


def test_weight_is_that_of_the_event_times_features_of_role_weight_times_what_is_given(
    folder: Path,
) -> None:
    def weight(batch: input_pipeline.Batch) -> tf.Tensor:
        return tf.cast(batch[REPEAT], tf.float32) + 0.5

    plain = next(iter(read_examples(folder, SPEC, BATCH)))
    weighed = next(iter(read_examples(folder, SPEC, BATCH, weight)))

    assert plain[WEIGHT].numpy().tolist() == [row / 4 * 2 for row in range(BATCH)]
    assert weighed[WEIGHT].numpy().tolist() == [
        row / 4 * 2 * (row % 2 + 0.5) for row in range(BATCH)
    ]


def test_reading_in_order_gives_every_example_once_and_the_rest_that_fills_no_batch(
    folder: Path,
) -> None:
    batches = item_rows(read_examples(folder, SPEC, batch_size=150))

    assert [len(batch) for batch in batches] == [150, 150, 100]
    assert list(chain.from_iterable(batches)) == list(range(ROWS))


def test_an_epoch_holds_every_example_once(folder: Path, files: Files) -> None:
    batches = item_rows(read_shuffled(folder, files, SPEC, BATCH, seed=1).take(3 * BATCHES))

    for start in range(0, 3 * BATCHES, BATCHES):
        epoch = chain.from_iterable(batches[start : start + BATCHES])
        assert sorted(epoch) == list(range(ROWS))


def test_an_epoch_leaves_out_a_rest_that_fills_no_batch_another_one_each_time(
    tmp_path: Path,
) -> None:
    lengths, batch_size = (ROWS,), 49
    folder = write_files(tmp_path, lengths)
    whole = ROWS // batch_size
    reader = read_shuffled(folder, name_files(lengths), SPEC, batch_size, seed=1)

    batches = item_rows(reader.take(25 * whole))

    for start in range(0, len(batches), whole):
        assert len(set(chain(*batches[start : start + whole]))) == whole * batch_size
    assert set(chain.from_iterable(batches)) == set(range(ROWS))


def test_files_are_read_in_another_order_each_epoch(tmp_path: Path) -> None:
    lengths = (BATCH,) * 40
    folder = write_files(tmp_path, lengths)
    batches = read_shuffled(folder, name_files(lengths), SPEC, BATCH, seed=1)

    epochs = item_rows(batches.take(40 + 8))

    first, second = (
        {row // BATCH for row in chain.from_iterable(window)}
        for window in (epochs[:8], epochs[40:])
    )
    assert len(first) == len(second) == 8
    assert first != second


def test_more_files_than_are_read_at_a_time_are_all_read_once(tmp_path: Path) -> None:
    lengths = (10,) * 39 + (50,)
    folder = write_files(tmp_path, lengths)
    batches = read_shuffled(folder, name_files(lengths), SPEC, BATCH, seed=1)

    epochs = item_rows(batches.take(2 * sum(lengths) // BATCH))

    assert Counter(chain.from_iterable(epochs)) == dict.fromkeys(range(sum(lengths)), 2)


def test_each_epoch_has_an_order_of_its_own(folder: Path, files: Files) -> None:
    batches = item_rows(read_shuffled(folder, files, SPEC, BATCH, seed=1).take(2 * BATCHES))

    assert batches[:BATCHES] != batches[BATCHES:]
    assert sorted(batches[0]) != sorted(batches[BATCHES])


def test_shuffled_batches_mix_files(folder: Path, files: Files) -> None:
    batches = item_rows(read_shuffled(folder, files, SPEC, BATCH, seed=1).take(5))

    for batch in batches:
        assert len({row // 100 for row in batch}) > 1
        assert batch != sorted(batch)


def test_seed_decides_the_order(folder: Path, files: Files) -> None:
    def read(seed: int) -> list[list[int]]:
        return item_rows(read_shuffled(folder, files, SPEC, BATCH, seed).take(30))

    assert read(1) == read(1)
    assert read(1) != read(2)


@pytest.mark.parametrize("start", [1, 8, 10, BATCHES - 1, BATCHES, 2 * BATCHES + 13])
def test_reading_goes_on_where_another_reader_stopped(
    folder: Path, files: Files, start: int
) -> None:
    count = BATCHES + 5
    whole = item_rows(read_shuffled(folder, files, SPEC, BATCH, seed=1).take(start + count))

    rest = item_rows(read_shuffled(folder, files, SPEC, BATCH, seed=1, start=start).take(count))

    assert rest == whole[start:]


def test_going_on_counts_only_whole_batches_of_an_epoch(folder: Path, files: Files) -> None:
    whole = item_rows(read_shuffled(folder, files, SPEC, 150, seed=1).take(7))

    rest = item_rows(read_shuffled(folder, files, SPEC, 150, seed=1, start=3).take(4))

    assert rest == whole[3:]


def test_readers_share_the_files_among_them(folder: Path, files: Files) -> None:
    lengths, rows = list(files.values()), []
    for reader in range(3):
        share = (3, tf.constant(reader))
        epoch = sum(lengths[reader::3]) // BATCH
        batches = read_shuffled(folder, files, SPEC, BATCH, seed=1, share=share)
        rows.append(set(chain.from_iterable(item_rows(batches.take(20 * epoch)))))

    assert [len(each) for each in rows] == [sum(lengths[reader::3]) for reader in range(3)]
    assert set.union(*rows) == set(range(ROWS))


def test_a_reader_of_a_share_goes_on_within_its_own_batches(folder: Path, files: Files) -> None:
    def read(start: int, count: int) -> list[list[int]]:
        share = (3, tf.constant(1))
        batches = read_shuffled(folder, files, SPEC, BATCH, seed=1, start=start, share=share)
        return item_rows(batches.take(count))

    assert read(start=9, count=10) == read(start=0, count=19)[9:]


def test_less_than_a_batch_is_an_error(folder: Path, files: Files) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        read_shuffled(folder, files, SPEC, ROWS + 1, seed=1)


def test_remote_files_are_read_once_and_in_the_same_order(
    tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_files(tmp_path, LENGTHS)
    expected = item_rows(
        read_shuffled(folder, files, SPEC, BATCH, seed=1, start=30).take(2 * BATCHES)
    )
    monkeypatch.setattr(input_pipeline, "is_remote", lambda _: True)
    batches = iter(read_shuffled(folder, files, SPEC, BATCH, seed=1, start=30))

    found = item_rows([next(batches)])
    for name in files:
        (folder / name).unlink()
    found += item_rows(next(batches) for _ in range(2 * BATCHES - 1))

    assert found == expected


def test_remote_files_too_large_for_memory_are_read_every_time(
    tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_files(tmp_path, LENGTHS)
    size = sum((folder / name).stat().st_size for name in files)
    monkeypatch.setattr(input_pipeline, "is_remote", lambda _: True)
    monkeypatch.setattr(input_pipeline, "_MEMORY_BYTES", size - 1)
    batches = iter(read_shuffled(folder, files, SPEC, BATCH, seed=1))

    next(batches)
    for name in files:
        (folder / name).unlink()

    with pytest.raises(tf.errors.NotFoundError):
        item_rows(next(batches) for _ in range(2 * BATCHES))


def test_serialized_examples_are_read_in_the_order_of_the_files(folder: Path) -> None:
    batches = list(read_serialized(folder, batch_size=150))

    assert [len(batch) for batch in batches] == [150, 150, 100]
    parsed = [tf.train.Example.FromString(e) for batch in batches for e in batch.numpy()]
    rows = [e.features.feature[ITEM_ROW].int64_list.value[0] for e in parsed]
    assert rows == list(range(ROWS))
