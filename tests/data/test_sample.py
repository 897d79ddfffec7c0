from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from tfrec.data.sample import read_sample


@pytest.fixture
def files(write_parquet: Callable[..., str]) -> list[str]:
    """Three files of 10 rows, which number their rows."""
    return [
        write_parquet(row=[10 * file + row for row in range(10)], name=["x"] * 10)
        for file in range(3)
    ]


def test_all_rows_are_read(files: list[str]) -> None:
    table = read_sample(files, ["row"], rows=None)

    assert table.column_names == ["row"]
    assert table["row"].to_pylist() == list(range(30))


def test_rows_are_taken_from_the_beginning_of_every_file(files: list[str]) -> None:
    assert read_sample(files, ["row"], rows=6)["row"].to_pylist() == [0, 1, 10, 11, 20, 21]
    assert len(read_sample(files, ["row"], rows=7)) == 7


def test_more_rows_than_there_are_is_all(files: list[str]) -> None:
    assert len(read_sample(files, ["name", "row"], rows=1000)) == 30


def test_rows_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text("user,item\nu,a\nv,b,too,many\nw,\n")

    table = read_sample([str(file)], ["user", "item"], rows=None)

    assert table.to_pylist() == [{"user": "u", "item": "a"}, {"user": "w", "item": None}]


def test_column_of_different_types_is_text(write_parquet: Callable[..., str]) -> None:
    files = [write_parquet(id=[1, 2]), write_parquet(id=["x", None])]

    assert read_sample(files, ["id"], rows=None)["id"].to_pylist() == ["1", "2", "x", None]


def test_part_without_values_has_the_type_of_the_others(write_parquet: Callable[..., str]) -> None:
    files = [write_parquet(id=[1, 2]), write_parquet(id=pa.nulls(2))]

    column = read_sample(files, ["id"], rows=None)["id"]

    assert (column.type, column.to_pylist()) == (pa.int64(), [1, 2, None, None])
