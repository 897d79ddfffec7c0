from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from records import read_rejects

from tfrec.config import validate
from tfrec.data.catalogue import GROUP, Catalogue, prepare_catalogue
from tfrec.data.config import DataConfig
from tfrec.data.counts import Counts
from tfrec.data.prepared import PreparedData
from tfrec.errors import UserError
from tfrec.features import FeatureSpec

CATEGORY = {"role": "item", "kind": "categorical", "embedding": 2}
NUMBER = {"role": "item", "kind": "numeric"}
EVERY_KIND = {
    "aisle": CATEGORY,
    "tags": {"role": "item", "kind": "multi_categorical", "embedding": 2, "separator": "|"},
    "price": {**NUMBER, "min": 0},
    "text": {"role": "item", "kind": "text", "embedding": 2, "rows": 8},
    "image": {"role": "item", "kind": "vector", "dim": 2},
}

Prepare = Callable[..., tuple[Catalogue, Counts]]


@pytest.fixture
def prepare(make_config: Callable[..., DataConfig], output: PreparedData) -> Prepare:
    """Prepares files; keys of the section `data.items` may be changed, and `data` as a whole."""

    def run(
        *files: str, features: dict[str, Any] | None = None, data: Any = None, **items: Any
    ) -> tuple[Catalogue, Counts]:
        user = {"shopper": {"role": "user", "kind": "categorical", "embedding": 2}}
        spec = validate(FeatureSpec, {**user, "sku": CATEGORY, **(features or {})})
        chosen = {name: spec[name] for name in features or {}}
        config = make_config(items=items, **(data or {}))
        counted = prepare_catalogue(config, chosen, files, output)
        return Catalogue(output.catalogue), counted

    return run


def reasons(output: PreparedData) -> dict[str, str]:
    """Title of each rejected row -> why it was."""
    return {line["row"]["title"]: line["reason"] for line in read_rejects(output.rejects, "items")}


def test_items_get_dense_rows_in_the_order_of_their_ids(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    first = write_parquet(sku=["pear", "fig"], title=["P", "F"], size=["1", "2"])
    second = write_parquet(sku=["apple", "plum"], title=["A", "L"], size=["3", "4"])

    catalogue, counted = prepare(first, second)

    assert len(catalogue) == 4
    assert catalogue.ids.tolist() == ["apple", "fig", "pear", "plum"]
    assert counted == Counts(read=4)
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
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    catalogue, _ = prepare(write_parquet(sku=["b", "a"]), name=())

    assert catalogue.names.tolist() == ["a", "b"]


def test_each_kind_of_feature_has_its_type(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    file = write_parquet(
        sku=[12, 7], title=["x", "y"], size=[None, "s"],
        aisle=[3, None], tags=["new|sale", ""], price=["1.5", None], text=["red shoe", None],
        image=[[1.0, 2.0], None],
    )  # fmt: skip

    catalogue, counted = prepare(file, features=EVERY_KIND)

    assert counted == Counts(read=2)
    names = ["_id", *EVERY_KIND]
    assert catalogue.table.select(names).to_pylist() == [
        dict(zip(names, ("12", "3", ["new", "sale"], 1.5, "red shoe", [1.0, 2.0]), strict=True)),
        dict(zip(names, ("7", None, None, None, None, None), strict=True)),
    ]


def test_features_and_ids_may_have_columns_of_other_names(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    file = write_parquet(code=["a"], title=["x"], size=["s"], AISLE_NM=["dairy"], aisle=["wrong"])

    catalogue, _ = prepare(
        file, features={"aisle": CATEGORY}, id="code", columns={"aisle": "AISLE_NM"}
    )

    assert catalogue.ids.tolist() == ["a"]
    assert catalogue.value("aisle", "catalogue").to_pylist() == ["dairy"]
    assert catalogue.value("sku", "item").to_pylist() == ["a"]


def test_rows_that_cannot_be_right_are_rejected_with_their_reason(
    prepare: Prepare, write_parquet: Callable[..., str], output: PreparedData
) -> None:
    file = write_parquet(
        sku=["a", None, "", "x" * 1025, "b", "c", "d", "e"],
        title=["good", "none", "empty", "long", "negative", "word", "infinite", "vector"],
        size=["s"] * 8,
        price=["1", "1", "1", "1", "-1", "dear", "inf", "2"],
        image=[[0.0, 1.0]] * 7 + [[0.0]],
    )
    features = {name: EVERY_KIND[name] for name in ("price", "image")}

    catalogue, counted = prepare(file, features=features)

    assert catalogue.ids.tolist() == ["a"]
    assert reasons(output) == {
        "none": "missing item id",
        "empty": "missing item id",
        "long": "item id: longer than 1,024 bytes",
        "negative": "price: less than 0",
        "word": "price: not a number",
        "infinite": "price: not finite",
        "vector": "image: not of 2 values",
    }
    assert counted.read == 8
    assert counted.kept == 1
    assert counted.rejected["missing item id"] == 2


def test_repeated_ids_are_rejected_but_for_the_first_with_file_and_line(
    prepare: Prepare, write_parquet: Callable[..., str], output: PreparedData
) -> None:
    first = write_parquet(sku=["b", "a", "a"], title=["other", "first", "second"], size=["s"] * 3)
    second = write_parquet(sku=["c", "a"], title=["another", "third"], size=["s"] * 2)

    catalogue, counted = prepare(second, first)

    assert catalogue.ids.tolist() == ["a", "b", "c"]
    assert catalogue.names[0] == "first s"
    assert counted == Counts(5, {"repeated item id": 2})
    lines = read_rejects(output.rejects, "items")
    assert sorted((line["file"], line["line"], line["reason"]) for line in lines) == [
        (first, 3, "repeated item id"),
        (second, 2, "repeated item id"),
    ]
    assert all(line["row"]["_id"] == "a" for line in lines)


@pytest.mark.parametrize("swapped", [False, True])
def test_newest_row_of_an_item_wins_where_rows_say_when_they_were_written(
    prepare: Prepare, write_parquet: Callable[..., str], output: PreparedData, swapped: bool
) -> None:
    files = [
        write_parquet(sku=["a", "b"], title=["old", "only"], size=["1"] * 2, day=["20240101"] * 2),
        write_parquet(
            sku=["a", "a", "a"], title=["new", "older", "undated"], size=["1"] * 3,
            day=["20240301", "20240228", None],
        ),
    ]  # fmt: skip

    catalogue, counted = prepare(*files[:: -1 if swapped else 1], updated="day", format="%Y%m%d")

    assert catalogue.names.tolist() == ["new 1", "only 1"]
    assert counted == Counts(5, {}, {"superseded row of the catalogue": 3})
    assert counted.kept == 2
    assert read_rejects(output.rejects, "items") == []


def test_row_written_at_no_moment_that_can_be_read_is_rejected(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    file = write_parquet(sku=["a", "a"], title=["x", "y"], size=["1"] * 2, day=["soon", "20240101"])

    catalogue, counted = prepare(file, updated="day", format="%Y%m%d")

    assert catalogue.names.tolist() == ["y 1"]
    assert counted.rejected == {"day: no time that can be read": 1}


def test_substitutes_are_told_by_their_group(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    file = write_parquet(
        sku=["a", "b", "c"], title=["x"] * 3, size=["1"] * 3, kind=["milk", None, "milk"]
    )

    catalogue, _ = prepare(file, data={"pairs": {"substitutes": "kind"}})

    assert catalogue.table[GROUP].to_pylist() == ["milk", None, "milk"]


def test_ids_in_a_csv_catalogue_stay_as_they_are_written(
    prepare: Prepare, tmp_path: Path, output: PreparedData
) -> None:
    file = tmp_path / "items.csv"
    file.write_text('sku,title,size,aisle\n007,"bread, rye",1,010\n7,true,2,\n8,a\n')

    catalogue, counted = prepare(str(file), features={"aisle": CATEGORY})

    assert catalogue.ids.tolist() == ["007", "7"]
    assert catalogue.names.tolist() == ["bread, rye 1", "true 2"]
    assert catalogue.table["aisle"].to_pylist() == ["010", None]
    assert counted == Counts(3, {"wrong number of columns": 1})
    assert read_rejects(output.rejects, "items") == [
        {"file": str(file), "line": 4, "reason": "wrong number of columns", "row": "8,a"}
    ]


def test_catalogue_without_one_good_row_is_refused(
    prepare: Prepare, write_parquet: Callable[..., str]
) -> None:
    file = write_parquet(sku=pa.array([None, None], pa.string()), title=["A", "B"], size=["1"] * 2)

    with pytest.raises(UserError, match=r"^data\.items: no row of the catalogue is left; "):
        prepare(file)


def test_file_that_cannot_be_read_to_its_end_is_named(
    prepare: Prepare, write_parquet: Callable[..., str], tmp_path: Path
) -> None:
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(Path(write_parquet(sku=["a"], title=["A"], size=["1"])).read_bytes()[:-9])

    with pytest.raises(UserError, match=r"torn\.parquet: cannot be read after 0 rows: "):
        prepare(str(torn))
