import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tfrec.data.beam import Counts
from tfrec.data.catalogue import Catalogue, column_of, prepare_catalogue
from tfrec.data.config import DataConfig
from tfrec.data.prepared import PreparedData
from tfrec.errors import UserError

Prepare = Callable[..., tuple[Catalogue, Counts]]


@pytest.fixture
def prepare(small_config: DataConfig, output: PreparedData) -> Prepare:
    def run(*files: str, features: Sequence[str] = ()) -> tuple[Catalogue, Counts]:
        counts = prepare_catalogue(small_config, features, files, output)
        return Catalogue(output.catalogue), counts

    return run


def rejected_lines(output: PreparedData) -> list[dict]:
    files = sorted(output.rejects.glob("items*"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_items_get_dense_rows_in_the_order_of_their_ids(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    first = write_parquet(sku=["pear", "fig"], title=["P", "F"], size=["1", "2"])
    second = write_parquet(sku=["apple", "plum"], title=["A", "L"], size=["3", "4"])

    catalogue, counts = prepare(first, second)

    assert len(catalogue) == 4
    assert catalogue.ids.tolist() == ["apple", "fig", "pear", "plum"]
    assert counts == Counts(read=4)
    rows = catalogue.rows(["plum", "kiwi", "apple"])
    assert rows.tolist() == [3, -1, 0]
    assert rows.dtype == np.int64


def test_rows_are_found_in_arrow_columns_with_nulls(
    write_catalogue: Callable[..., Catalogue],
) -> None:
    catalogue = write_catalogue(["a", "b"])

    assert catalogue.rows(pa.array(["b", None, "c"])).tolist() == [1, -1, -1]


def test_name_is_joined_of_its_columns_without_what_is_missing(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    file = write_parquet(
        sku=["a", "b", "c", "d"],
        title=["soap", None, "oat  milk ", None],
        size=["90 g", "1 l", None, None],
    )

    catalogue, _ = prepare(file)

    assert catalogue.names.tolist() == ["soap 90 g", "1 l", "oat milk", ""]


def test_catalogue_without_name_columns_shows_ids(
    small_config: DataConfig, output: PreparedData, write_parquet: Callable[..., str]
) -> None:
    items = small_config.items.model_copy(update={"name": ()})
    config = small_config.model_copy(update={"items": items})

    prepare_catalogue(config, [], [write_parquet(sku=["b", "a"])], output)

    assert Catalogue(output.catalogue).names.tolist() == ["a", "b"]


def test_ids_and_features_become_strings(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    file = write_parquet(sku=[12, 7], title=["x", "y"], size=[None, "s"], aisle=[3, None])

    catalogue, _ = prepare(file, features=["aisle"])

    assert catalogue.ids.tolist() == ["12", "7"]
    assert catalogue.table["aisle"].to_pylist() == ["3", None]


def test_missing_and_repeated_ids_are_rejected_and_written_with_their_reason(
    prepare: Prepare, write_parquet: Callable[..., str], output: PreparedData
) -> None:
    file = write_parquet(
        sku=["a", None, "b", "a", "a"],
        title=["first", "nobody", "other", "second", "third"],
        size=["s"] * 5,
    )

    catalogue, counts = prepare(file)

    assert catalogue.ids.tolist() == ["a", "b"]
    assert catalogue.names[0] == "first s"
    assert counts == Counts(5, {"missing item id": 1, "repeated item id": 2})
    lines = {line["row"]["title"]: line["reason"] for line in rejected_lines(output)}
    assert lines == {
        "nobody": "missing item id",
        "second": "repeated item id",
        "third": "repeated item id",
    }


def test_id_repeated_in_another_file_is_rejected(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    files = [write_parquet(sku=["a"], title=[name], size=["s"]) for name in ("one", "two")]

    catalogue, counts = prepare(*files)

    assert len(catalogue) == 1
    assert counts.rejected == {"repeated item id": 1}


def test_csv_catalogue_is_read(prepare: Prepare, tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_text('sku,title,size\nb,"bread, rye",1 kg\na,apple,\n')

    catalogue, _ = prepare(str(file))

    assert catalogue.ids.tolist() == ["a", "b"]
    assert catalogue.names.tolist() == ["apple", "bread, rye 1 kg"]


def test_ids_in_a_csv_catalogue_stay_as_they_are_written(prepare: Prepare, tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_text("sku,title,size,aisle\n007,1.50,1,010\n7,true,2,\n")

    catalogue, counts = prepare(str(file), features=["aisle"])

    assert catalogue.ids.tolist() == ["007", "7"]
    assert catalogue.names.tolist() == ["1.50 1", "true 2"]
    assert catalogue.table["aisle"].to_pylist() == ["010", None]
    assert counts == Counts(read=2)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_empty_item_id_is_missing(
    prepare: Prepare, write_parquet: Callable[..., str], tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "items.csv"
    file.write_text("sku,title,size\na,A,1\n,B,2\n")
    if kind == "parquet":
        file = write_parquet(sku=["a", ""], title=["A", "B"], size=["1", "2"])

    catalogue, counts = prepare(str(file))

    assert catalogue.ids.tolist() == ["a"]
    assert counts.rejected == {"missing item id": 1}


def test_catalogue_without_one_good_row_is_refused(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    file = write_parquet(sku=pa.array([None, None], pa.string()), title=["A", "B"], size=["1"] * 2)

    with pytest.raises(UserError, match=r"^data\.items: no row of the catalogue is left; "):
        prepare(file)


def test_missing_column_of_a_batch_is_an_error_that_names_it() -> None:
    batch = pa.RecordBatch.from_pydict({"a": [1], "b": [2]})

    assert column_of(batch, "a").to_pylist() == [1]
    with pytest.raises(KeyError, match="c"):
        column_of(batch, "c")
