"""Retailrocket: views, carts and purchases of a shop whose names are hashed."""

from collections.abc import Iterator, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.datasets.dataset import Column, Dataset, Published, Table
from tfrec.data.datasets.delimited import read_delimited
from tfrec.data.datasets.source_file import SourceFile

_TEXT, _NUMBER = pa.string(), pa.int64()
_TIME = pa.timestamp("ms")
_PROPERTIES = ["categoryid", "available"]


def _read_events(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    types = {
        "timestamp": _NUMBER,
        "visitorid": _TEXT,
        "event": _TEXT,
        "itemid": _TEXT,
        "transactionid": _TEXT,
    }
    for file in files:
        for piece in read_delimited(file, types):
            time, *others = piece.columns
            yield pa.table([time.cast(_TIME), *others], [column.name for column in _EVENTS])


def _read_categories(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    for file in files:
        for piece in read_delimited(file, {"categoryid": _TEXT, "parentid": _TEXT}):
            yield piece.rename_columns(["category_id", "parent_id"])


def _read_items(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    """Keeps the newest value of two properties per item, of which the files hold every change."""
    types = {"timestamp": _NUMBER, "itemid": _NUMBER, "property": _TEXT, "value": _TEXT}
    newest = pd.DataFrame()
    for file in files:
        for piece in read_delimited(file, types):
            kept = piece.filter(pc.is_in(piece["property"], value_set=pa.array(_PROPERTIES)))
            rows = pd.concat([newest, kept.to_pandas()]).sort_values("timestamp", kind="stable")
            newest = rows.drop_duplicates(["itemid", "property"], keep="last")
    if newest.empty:
        return
    items = newest.pivot(index="itemid", columns="property", values="value")
    items = items.reindex(columns=_PROPERTIES)
    yield pa.table({
        "item_id": pa.array(items.index).cast(_TEXT),
        "category_id": pa.array(items["categoryid"], _TEXT, from_pandas=True),
        "available": pa.array(
            items["available"].map({"1": True, "0": False}), pa.bool_(), from_pandas=True
        ),
    })  # fmt: skip


_ITEM = Column("item_id", _TEXT, "the item")
_CATEGORY = Column("category_id", _TEXT, "finest category")
_EVENTS = (
    Column("timestamp", _TIME, "when, UTC"),
    Column("visitor_id", _TEXT, "the shopper"),
    Column("event", _TEXT, "view, addtocart or transaction"),
    _ITEM,
    Column("transaction_id", _TEXT, "the purchase; null for other events"),
)

RETAILROCKET = Dataset(
    summary="views, carts and purchases of a shop over 4.5 months of 2015",
    licence="CC BY-NC-SA 4.0: no commercial use",
    citation="Retailrocket (2016), Retailrocket recommender system dataset, "
    "https://www.kaggle.com/datasets/retailrocket/ecommerce-dataset",
    origin=Published(
        "the archive, or its CSV files,",
        "https://www.kaggle.com/datasets/retailrocket/ecommerce-dataset",
    ),
    tables={
        "events": Table("an event", _EVENTS, _read_events, (r"events\.csv",), rows=2_756_101),
        "items": Table(
            "an item",
            (
                _ITEM,
                _CATEGORY,
                Column("available", pa.bool_(), "whether it was for sale"),
            ),
            _read_items,
            (r"item_properties_part1\.csv", r"item_properties_part2\.csv"),
            rows=417_053,
        ),
        "categories": Table(
            "a category",
            (_CATEGORY, Column("parent_id", _TEXT, "the category above; null at the top")),
            _read_categories,
            (r"category_tree\.csv",),
            rows=1_669,
        ),
    },
    data="""\
data:
  events: {source: dataset://retailrocket/events, user: visitor_id, item: item_id, time: timestamp, type_column: event}
  items: {source: dataset://retailrocket/items, id: item_id}
  split: {kind: time, validation: 14d, test: 14d}
  max_reject_share: 0.15  # events of items without properties
""",  # noqa: E501
    note="Items have their newest category and availability, which were not known at the time of "
    "earlier events. About a tenth of the events are of items without properties.",
)
