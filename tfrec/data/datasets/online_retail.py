"""Online Retail: a year of invoices of a British gift shop."""

import codecs
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tfrec.data.datasets.dataset import Column, Dataset, Published, Table, schema_of
from tfrec.data.datasets.delimited import read_delimited
from tfrec.data.datasets.source_file import SourceFile
from tfrec.errors import UserError

_PIECE_ROWS = 65_536
_TEXT = pa.string()
_STOCK_CODE = Column("stock_code", _TEXT, "the item; a few are postage, fees and the like")
_DESCRIPTION = Column("description", _TEXT, "name of the item; in some rows a remark, or null")
_TRANSACTIONS = {
    "InvoiceNo": Column("invoice_no", _TEXT, "the invoice; a C in front marks a cancellation"),
    "StockCode": _STOCK_CODE,
    "Description": _DESCRIPTION,
    "Quantity": Column("quantity", pa.int64(), "units; negative for what came back"),
    "InvoiceDate": Column("invoice_date", pa.timestamp("ms"), "local time, to the minute"),
    "UnitPrice": Column("unit_price", pa.float64(), "pounds sterling"),
    "CustomerID": Column("customer_id", _TEXT, "the shopper; null in a quarter of the rows"),
    "Country": Column("country", _TEXT, "where the shopper lives"),
}
_SCHEMA = schema_of(tuple(_TRANSACTIONS.values()))


def _read_transactions(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    for file in files:
        yield from _read_csv(file) if file.name.endswith(".csv") else _read_xlsx(file)


def _read_csv(file: SourceFile) -> Iterator[pa.Table]:
    types = {name: column.type for name, column in _TRANSACTIONS.items()}
    pieces = read_delimited(
        file, types, encoding=_encoding(file), time_format="%m/%d/%Y %H:%M"
    )  # fmt: skip
    for piece in pieces:
        named = piece.rename_columns(_SCHEMA.names)
        # Programs that hold ids as floats, for the sake of the missing ones, write 17850.0.
        customers = pc.replace_substring_regex(named["customer_id"], r"\.0$", "")
        yield named.set_column(named.column_names.index("customer_id"), "customer_id", customers)


def _encoding(file: SourceFile) -> str:
    """Both are found in exports of the workbook: its pound signs tell which one it is."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with file.open() as stream:
        try:
            while chunk := stream.read(1 << 20):
                decoder.decode(chunk)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf8"


def _read_xlsx(file: SourceFile) -> Iterator[pa.Table]:
    import openpyxl

    with file.open() as stream:
        # The workbook is a zip itself and is read in leaps.
        rows = openpyxl.load_workbook(stream, read_only=True).worksheets[0].values
        header = next(rows, ())
        if header != tuple(_TRANSACTIONS):
            raise UserError(
                f"{file}: its first row is {header}, not {', '.join(_TRANSACTIONS)}; "
                "give the workbook as published"
            )
        number = 2
        while piece := list(islice(rows, _PIECE_ROWS)):
            columns = [
                _column(file, number, field, values)
                for field, values in zip(_SCHEMA, zip(*piece, strict=True), strict=True)
            ]
            yield pa.table(columns, schema=_SCHEMA)
            number += len(piece)


def _column(file: SourceFile, first_row: int, field: pa.Field, values: Sequence[Any]) -> pa.Array:
    """Types a column of cells, of which each has a type of its own."""
    if field.type == _TEXT:
        values = [_text(value) for value in values]
    try:
        return pa.array(values, field.type)
    except pa.ArrowException:
        row, value = next(
            (row, value)
            for row, value in enumerate(values, first_row)
            if not _fits(value, field.type)
        )
        raise UserError(
            f"{file}: row {row}: {field.name} {value!r} is no {field.type}; "
            "give the workbook as published"
        ) from None


def _fits(value: Any, kind: pa.DataType) -> bool:
    try:
        pa.scalar(value, kind)
    except pa.ArrowException:
        return False
    return True


def _text(value: Any) -> str | None:
    """Ids without letters are numbers in the workbook."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if value is None else str(value)


def _read_products(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    """Names each item as most of its rows do: remarks on single rows lose."""
    (file,) = files
    names = ["stock_code", "description"]
    rows = pq.read_table(file.path, columns=names)
    counts = rows.group_by(names).aggregate([("description", "count")])
    ordered = counts.sort_by([
        ("stock_code", "ascending"),
        ("description_count", "descending"),
        ("description", "ascending"),
    ])  # fmt: skip
    _, first = np.unique(ordered["stock_code"].to_numpy(), return_index=True)
    yield ordered.take(first)


ONLINE_RETAIL = Dataset(
    summary="a year of invoices of a British gift shop, 2010-11",
    licence="CC BY 4.0",
    citation="D. Chen, S. L. Sain and K. Guo (2012), Data mining for the online retail industry, "
    "Journal of Database Marketing 19(3), https://doi.org/10.24432/C5BW33",
    origin=Published(
        "online+retail.zip, or its Online Retail.xlsx, or a CSV of it,",
        "https://archive.ics.uci.edu/dataset/352/online+retail",
    ),
    tables={
        "transactions": Table(
            "a line of an invoice",
            tuple(_TRANSACTIONS.values()),
            _read_transactions,
            (r".+\.(xlsx|csv)",),
            rows=541_909,
        ),
        "products": Table(
            "an item",
            (
                _STOCK_CODE,
                Column("description", _TEXT, "the name that most of its rows have"),
            ),
            _read_products,
            derived_from="transactions",
            rows=4_070,
        ),
    },
    data="""\
data:
  events: {source: dataset://online_retail/transactions, user: customer_id, item: stock_code, time: invoice_date}
  items: {source: dataset://online_retail/products, id: stock_code, name: [description]}
  split: {kind: time, validation: 14d, test: 14d}
  max_reject_share: 0.26  # rows without a customer
""",  # noqa: E501
    note="Cancellations, returns and invoices without a customer are in it, as published.",
)
