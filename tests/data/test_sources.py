from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from tfrec.data.sources import BATCH_ROWS, column_types, find_files, read_batches
from tfrec.errors import UserError


def test_glob_finds_its_files_sorted(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "c.txt"):
        (tmp_path / name).write_text("x\n1\n")

    found = find_files("data.events.source", str(tmp_path / "*.csv"))

    assert found == [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]


@pytest.mark.parametrize("name", ["nowhere.parquet", "*.parquet"])
def test_source_that_is_not_there_is_named_with_its_field(tmp_path: Path, name: str) -> None:
    source = str(tmp_path / name)

    with pytest.raises(UserError) as caught:
        find_files("data.events.source", source)

    assert str(caught.value).startswith(f"data.events.source: '{source}': no such file; give ")


@pytest.mark.parametrize("source", ["dataset://groceries/sales", "dataset://complete_journey"])
def test_unknown_dataset_is_refused(source: str) -> None:
    with pytest.raises(UserError, match=r"dataset://.*: unknown; known: "):
        find_files("data.events.source", source)


def test_columns_are_named_with_their_types(write_parquet: Callable[..., str]) -> None:
    file = write_parquet(sku=["a"], count=pa.array([1], pa.int16()))

    assert column_types("f", [file]) == {"sku": pa.string(), "count": pa.int16()}


@pytest.mark.parametrize("name", ["empty.parquet", "header.csv"])
def test_file_without_rows_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    if file.suffix == ".csv":
        file.write_text("sku,title\n")
    else:
        pa.parquet.write_table(pa.table({"sku": pa.array([], pa.string())}), file)

    with pytest.raises(UserError, match=rf"data\.items\.source: {file}: holds no rows"):
        column_types("data.items.source", [str(file)])


@pytest.mark.parametrize("name", ["broken.parquet", "empty.csv"])
def test_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text("")

    with pytest.raises(UserError, match=rf"data\.items\.source: {file}: cannot be read: "):
        column_types("data.items.source", [str(file)])


def test_wanted_columns_of_a_long_file_are_read_in_pieces(tmp_path: Path) -> None:
    rows = BATCH_ROWS + 10
    file = tmp_path / "long.parquet"
    pa.parquet.write_table(pa.table({"n": range(rows), "unused": ["x"] * rows}), file)

    batches = list(read_batches(str(file), ["n"]))

    assert [batch.num_rows for batch in batches] == [BATCH_ROWS, 10]
    assert batches[1].to_pydict() == {"n": list(range(BATCH_ROWS, rows))}


def test_wanted_columns_of_a_csv_file_are_read_in_the_order_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_text("a,b,c\n1,x,2020-01-01 00:00:00\n")

    (batch,) = read_batches(str(file), ["c", "a"])

    assert batch.schema.names == ["c", "a"]
    assert pa.types.is_timestamp(batch.schema.types[0])


def test_files_may_order_their_columns_each_in_its_way(write_parquet: Callable[..., str]) -> None:
    files = [write_parquet(a=["x"], b=[1]), write_parquet(b=[2], more=[0], a=["y"])]

    assert column_types("f", files) == {"a": pa.string(), "b": pa.int64()}


def test_file_that_lacks_a_column_of_the_first_is_refused_with_both_files_and_the_column(
    write_parquet: Callable[..., str],
) -> None:
    whole = [write_parquet(sku=["a"], title=["x"]), write_parquet(sku=["b"], title=["y"])]
    lacking = write_parquet(sku=["c"], name=["z"])

    with pytest.raises(UserError) as caught:
        column_types("data.items.source", [*whole, lacking])

    assert str(caught.value) == (
        f"data.items.source: {lacking}: lacks title, which {whole[0]} has; give files of one header"
    )


def test_columns_of_a_csv_file_are_taken_as_written_where_text_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_text("sku,count\n007,012\n")

    (batch,) = read_batches(str(file), ["sku", "count"], text=["sku"])

    assert batch.to_pydict() == {"sku": ["007"], "count": [12]}
