from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from tfrec.data.prepared import Part, PreparedData
from tfrec.data.query_set import QuerySet, client_tensor
from tfrec.errors import UserError


@pytest.fixture
def queries(make_queries: Callable[..., QuerySet]) -> QuerySet:
    return make_queries(
        relevant=[[3, 1], [2], [0, 0, 4]],
        seen=[[], [7, 7], [5]],
        channel=["web", None, "app"],
        recent=[["a"], [], ["b", "c", "d"]],
    )


def test_pairs_name_the_place_of_the_shopper_and_the_row_of_the_item(queries: QuerySet) -> None:
    users, items = queries.relevant
    assert list(zip(users.tolist(), items.tolist(), strict=True)) == [
        (0, 3), (0, 1), (1, 2), (2, 0), (2, 0), (2, 4)
    ]  # fmt: skip

    users, items = queries.seen
    assert list(zip(users.tolist(), items.tolist(), strict=True)) == [(1, 7), (1, 7), (2, 5)]


def test_sequences_are_filled_up_with_empty_strings(queries: QuerySet) -> None:
    inputs = queries.inputs(["recent", "channel"])

    assert inputs["recent"].tolist() == [["a", "", ""], ["", "", ""], ["b", "c", "d"]]
    assert inputs["channel"].tolist() == ["web", "", "app"]


def test_batches_cut_the_shoppers_and_count_their_places_anew(queries: QuerySet) -> None:
    first, second = queries.batches(2)

    assert first.users + second.users == queries.users
    assert (len(first), len(second)) == (2, 1)
    assert second.inputs(["recent"])["recent"].tolist() == [["b", "c", "d"]]
    users, items = second.relevant
    assert users.tolist() == [0, 0, 0]
    assert items.tolist() == [0, 0, 4]
    assert first.inputs(["recent"])["recent"].tolist() == [["a"], [""]]


def test_raw_features_are_told_from_answers(queries: QuerySet) -> None:
    assert queries.features == ["channel", "recent"]


def test_queries_are_read_from_all_files_of_a_directory(queries: QuerySet, tmp_path: Path) -> None:
    for number, batch in enumerate(queries.batches(2)):
        pa.parquet.write_table(batch.table, tmp_path / f"{number}.parquet")

    read = QuerySet.read(tmp_path)

    assert read.table.to_pydict() == queries.table.to_pydict()
    assert read.relevant[0].tolist() == queries.relevant[0].tolist()
    assert read.inputs(["recent"])["recent"].shape == (3, 3)


def test_lists_that_are_all_empty_keep_one_place() -> None:
    assert client_tensor(pa.array([[], []], pa.list_(pa.string()))).tolist() == [[""], [""]]


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.int64()])
def test_numbers_are_floats_and_nan_where_there_is_none(kind: pa.DataType) -> None:
    tensor = client_tensor(pa.array([9, None, 2**40]).cast(kind, safe=False).slice(1))

    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, np.array([np.nan, 2**40], np.float32))


def test_vectors_are_floats_and_zeros_where_there_is_none() -> None:
    vectors = pa.array([[9, 9], [1, 2.5], None, [3, -4]], pa.list_(pa.float64()))

    tensor = client_tensor(vectors.slice(1))

    assert tensor.dtype == np.float32
    assert tensor.tolist() == [[1, 2.5], [0, 0], [3, -4]]


def test_missing_strings_and_lists_are_empty() -> None:
    lists = pa.array([["a", None], None], pa.list_(pa.string()))

    assert client_tensor(lists).tolist() == [["a", ""], ["", ""]]
    assert client_tensor(pa.array([None], pa.string())).tolist() == [""]


def test_no_queries_make_empty_tensors(queries: QuerySet) -> None:
    nobody = QuerySet(queries.table.slice(0, 0))

    assert nobody.inputs(["recent"])["recent"].shape == (0, 1)
    assert nobody.inputs(["channel"])["channel"].shape == (0,)
    assert list(nobody.batches(5)) == []


@pytest.mark.parametrize(("validation", "part"), [(0, "test"), (3, "validation")])
def test_held_out_queries_are_of_validation_or_else_of_test(
    queries: QuerySet, tmp_path: Path, validation: int, part: str
) -> None:
    data = PreparedData(tmp_path)
    sizes = {"train": 5, "validation": validation, "test": 4}
    data.write_parts(
        {
            name: Part(examples=size, shoppers=size, first=None, last=None, files={})
            for name, size in sizes.items()
        }
    )
    data.queries(part).mkdir(parents=True)
    pyarrow.parquet.write_table(queries.table, data.queries(part) / "0.parquet")

    assert QuerySet.read_held_out(data).users == queries.users


def test_window_without_queries_is_refused_with_its_field(
    queries: QuerySet, tmp_path: Path
) -> None:
    folder = tmp_path / "validation"
    folder.mkdir()
    pa.parquet.write_table(queries.table.slice(0, 0), folder / "0.parquet")

    with pytest.raises(UserError, match=r"^data\.split\.validation: no event is in this window; "):
        QuerySet.read(folder)
