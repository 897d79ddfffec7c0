import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import openpyxl
import pytest

from tfrec.data import datasets
from tfrec.errors import UserError

HEADER = (
    "InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID",
    "Country",
)  # fmt: skip
WHEN = datetime(2010, 12, 1, 8, 26)
ROWS = [
    (536365, "85123A", "WHITE HANGING HEART T-LIGHT HOLDER", 6, WHEN, 2.55, 17850, "France"),
    (536366, 71053, "WHITE METAL LANTERN", 6, WHEN, 3.39, 17850.0, "United Kingdom"),
    ("C536379", 71053, "WHITE METAL LANTERN", -1, WHEN, 3.39, 14527, "United Kingdom"),
    (536414, 71053, "damaged", 56, WHEN, 0, None, "United Kingdom"),
    (536415, 22139, None, 56, WHEN, 0, None, "EIRE"),
]
EXPECTED = [
    ("536365", "85123A", "WHITE HANGING HEART T-LIGHT HOLDER", 6, WHEN, 2.55, "17850", "France"),
    ("536366", "71053", "WHITE METAL LANTERN", 6, WHEN, 3.39, "17850", "United Kingdom"),
    ("C536379", "71053", "WHITE METAL LANTERN", -1, WHEN, 3.39, "14527", "United Kingdom"),
    ("536414", "71053", "damaged", 56, WHEN, 0.0, None, "United Kingdom"),
    ("536415", "22139", None, 56, WHEN, 0.0, None, "EIRE"),
]


@pytest.fixture
def workbook(tmp_path: Path) -> Callable[..., Path]:
    """Makes an Online Retail.xlsx."""

    def make(rows: list[tuple], header: tuple = HEADER) -> Path:
        book = openpyxl.Workbook()
        for row in (header, *rows):
            book.active.append(row)
        path = tmp_path / "Online Retail.xlsx"
        book.save(path)
        return path

    return make


def transactions(read: Callable) -> list[tuple]:
    return [tuple(row.values()) for row in read("online_retail", "transactions")]


def test_workbook_is_read_with_its_ids_as_text(workbook: Callable, read: Callable) -> None:
    datasets.fetch_dataset("online_retail", workbook(ROWS))

    assert transactions(read) == EXPECTED


def test_workbook_is_read_from_the_zip_it_is_published_in(
    workbook: Callable, read: Callable, tmp_path: Path
) -> None:
    archive = tmp_path / "online+retail.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as files:
        files.write(workbook(ROWS), "Online Retail.xlsx")

    datasets.fetch_dataset("online_retail", archive)

    assert transactions(read) == EXPECTED


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("when", ["12/1/2010 8:26", "2010-12-01 08:26:00"])
def test_exports_as_csv_are_read(write: Callable, read: Callable, encoding: str, when: str) -> None:
    lines = [
        ",".join(HEADER),
        f"536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,{when},2.55,17850.0,United Kingdom",
        f'C536379,23245,"BAG, £2 OFF",-1,{when},1.25,,EIRE',
    ]
    source = write("data.csv", "\n".join(lines), encoding)

    datasets.fetch_dataset("online_retail", source)

    first, second = transactions(read)
    assert first[4:7] == (WHEN, 2.55, "17850")
    assert second == ("C536379", "23245", "BAG, £2 OFF", -1, WHEN, 1.25, None, "EIRE")


def test_product_has_the_name_that_most_of_its_rows_have(
    workbook: Callable, read: Callable
) -> None:
    datasets.fetch_dataset("online_retail", workbook(ROWS))

    assert read("online_retail", "products") == [
        {"stock_code": "22139", "description": None},
        {"stock_code": "71053", "description": "WHITE METAL LANTERN"},
        {"stock_code": "85123A", "description": "WHITE HANGING HEART T-LIGHT HOLDER"},
    ]


def test_cell_of_a_wrong_type_is_named_with_its_row(workbook: Callable) -> None:
    rows = [*ROWS, (536416, "22139", "RETRO TEA SET", "six", WHEN, 1.0, 17850, "EIRE")]

    with pytest.raises(UserError, match=r"Online Retail\.xlsx: row 7: quantity 'six' is no int64"):
        datasets.fetch_dataset("online_retail", workbook(rows))


def test_other_workbook_is_refused_by_its_first_row(workbook: Callable) -> None:
    with pytest.raises(UserError, match=r"its first row is \('a', 'b'\), not InvoiceNo, "):
        datasets.fetch_dataset("online_retail", workbook([(1, 2)], header=("a", "b")))


def test_file_that_is_no_workbook_is_refused(write: Callable) -> None:
    source = write("Online Retail.xlsx", "not a workbook")

    with pytest.raises(UserError, match=r"Online Retail\.xlsx: .*; give the file as published"):
        datasets.fetch_dataset("online_retail", source)
