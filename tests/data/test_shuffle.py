from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tfrec.data.engine import BeamConfig
from tfrec.data.shuffle import buckets_of, by_bucket, pack, spill_folder, unpack


def test_string_has_the_same_bucket_wherever_it_stands() -> None:
    words = pa.array([f"user-{number}" for number in range(2000)])

    buckets = buckets_of(words, 7)

    assert set(buckets.tolist()) == set(range(7))
    assert np.bincount(buckets).min() > 200
    assert (buckets_of(words.take(pa.array(range(1999, -1, -1))), 7) == buckets[::-1]).all()
    assert buckets_of(pa.array(["user-5"]), 7).tolist() == [buckets[5]]


def test_buckets_do_not_change_between_versions() -> None:
    assert buckets_of(pa.array(["ann", "bob", "ünal"]), 1000).tolist() == [114, 730, 899]


def test_rows_come_out_of_their_buckets_in_order() -> None:
    batch = pa.RecordBatch.from_pydict({"n": list(range(6)), "s": list("abcabc")})

    pieces = dict(by_bucket(batch, np.array([2, 0, 2, 0, 2, 5])))

    assert {bucket: unpack([piece])["n"].to_pylist() for bucket, piece in pieces.items()} == {
        0: [1, 3], 2: [0, 2, 4], 5: [5]
    }  # fmt: skip


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None]),
        pa.array([["a", "b"], None]),
        pa.array([[1.5], []], pa.list_(pa.float32())),
        pa.array(["x", "x"]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_pieces_are_joined_to_what_they_were(column: pa.Array) -> None:
    table = pa.table({"column": column})
    other = pa.table({"column": pa.array(["y"]).dictionary_encode()})
    pieces = [table, other] if pa.types.is_dictionary(column.type) else [table, table]

    joined = unpack(map(pack, pieces))

    assert joined["column"].to_pylist() == [v for p in pieces for v in p["column"].to_pylist()]
    assert joined["column"].type == column.type


def test_pieces_spilled_to_files_are_read_back(tmp_path: Path) -> None:
    batch = pa.RecordBatch.from_pydict({"n": list(range(6)), "s": list("abcdef")})

    spilled = list(by_bucket(batch, np.array([1, 0, 1, 0, 1, 4]), tmp_path))

    assert all(isinstance(piece, tuple) for _, piece in spilled)
    assert {bucket: unpack([piece]).to_pydict() for bucket, piece in spilled} == {
        0: {"n": [1, 3], "s": ["b", "d"]},
        1: {"n": [0, 2, 4], "s": ["a", "c", "e"]},
        4: {"n": [5], "s": ["f"]},
    }


def test_only_the_runner_that_shuffles_in_memory_spills_and_leaves_nothing(tmp_path: Path) -> None:
    with spill_folder(BeamConfig(), tmp_path) as folder:
        assert folder is not None
        (folder / "piece").write_bytes(b"x")
    with spill_folder(BeamConfig(runner="FlinkRunner"), tmp_path) as none:
        assert none is None

    assert not list(tmp_path.iterdir())
