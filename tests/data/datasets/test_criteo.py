import gzip
from collections.abc import Callable

import pytest

from tfrec.data import datasets
from tfrec.errors import UserError

FULL = ["1", *map(str, range(-2, 11)), *(f"{number:08x}" for number in range(26))]
SPARSE = ["0", *[""] * 13, "68fd1e64", *[""] * 25]


@pytest.mark.parametrize("name", ["train.txt", "train.txt.gz"])
def test_impressions_have_nulls_where_fields_are_empty(
    write: Callable, read: Callable, name: str
) -> None:
    text = "".join("\t".join(row) + "\n" for row in (FULL, SPARSE)).encode()
    source = write(name, gzip.compress(text) if name.endswith(".gz") else text)

    datasets.fetch_dataset("criteo", source / name)

    full, sparse = read("criteo", "impressions")
    assert list(full) == [
        "label",
        *(f"I{n}" for n in range(1, 14)),
        *(f"C{n}" for n in range(1, 27)),
    ]
    assert list(full.values()) == [1, *range(-2, 11), *FULL[14:]]
    assert {key: value for key, value in sparse.items() if value is not None} == {
        "label": 0,
        "C1": "68fd1e64",
    }


def test_row_with_a_field_too_few_is_named(write: Callable) -> None:
    source = write("train.txt", "\t".join(FULL) + "\n" + "\t".join(FULL[1:]) + "\n")

    with pytest.raises(UserError, match=r"train\.txt: .*Row #2: Expected 40 columns, got 39"):
        datasets.fetch_dataset("criteo", source)
