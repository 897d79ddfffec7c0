"""Amazon Reviews: a category's reviews and products, of the release of 2018 or of 2023."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from tfrec.data.datasets.dataset import Column, Dataset, Published, Table, schema_of
from tfrec.data.datasets.json_lines import read_json_lines
from tfrec.data.datasets.source_file import SourceFile

_TEXT, _NUMBER, _FLOAT = pa.string(), pa.int64(), pa.float64()
_ITEM = Column("item_id", _TEXT, "the product: asin in 2018, parent_asin in 2023")
_REVIEWS = (
    Column("user_id", _TEXT, "who wrote"),
    _ITEM,
    Column("asin", _TEXT, "the variant of the product (size, colour)"),
    Column("rating", _FLOAT, "stars, 1 to 5"),
    Column("timestamp", pa.timestamp("ms"), "when, UTC; to the day in 2018"),
    Column("verified", pa.bool_(), "whether bought at Amazon"),
    Column("helpful_votes", _NUMBER, "readers who found it helpful"),
    Column("title", _TEXT, "headline"),
    Column("text", _TEXT, "the review"),
)
_ITEMS = (
    _ITEM,
    Column("title", _TEXT, "name"),
    Column("brand", _TEXT, "brand in 2018, store in 2023"),
    Column("main_category", _TEXT, "department"),
    Column("categories", pa.list_(_TEXT), "from coarse to fine"),
    Column("price", _FLOAT, "dollars; null where the source has none, a range or markup"),
    Column("description", _TEXT, "paragraphs"),
    Column("average_rating", _FLOAT, "stars, 2023 only"),
    Column("ratings", _NUMBER, "number of them, 2023 only"),
)


def _read_reviews(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    for file in files:
        yield from read_json_lines(file, _review, schema_of(_REVIEWS))


def _read_items(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    for file in files:
        yield from read_json_lines(file, _item, schema_of(_ITEMS))


def _review(line: dict[str, Any]) -> dict[str, Any]:
    if "reviewerID" in line:
        return {
            "user_id": line["reviewerID"],
            "item_id": line["asin"],
            "asin": line["asin"],
            "rating": float(line["overall"]),
            "timestamp": int(line["unixReviewTime"]) * 1000,
            "verified": bool(line["verified"]),
            "helpful_votes": int(line.get("vote", "0").replace(",", "")),
            "title": line.get("summary"),
            "text": line.get("reviewText"),
        }
    return {
        "user_id": line["user_id"],
        "item_id": line["parent_asin"],
        "asin": line["asin"],
        "rating": float(line["rating"]),
        "timestamp": int(line["timestamp"]),
        "verified": bool(line["verified_purchase"]),
        "helpful_votes": int(line["helpful_vote"]),
        "title": line.get("title"),
        "text": line.get("text"),
    }


def _item(line: dict[str, Any]) -> dict[str, Any]:
    of_2023 = "parent_asin" in line
    return {
        "item_id": line["parent_asin" if of_2023 else "asin"],
        "title": line.get("title"),
        "brand": line.get("store" if of_2023 else "brand"),
        "main_category": line.get("main_category" if of_2023 else "main_cat"),
        "categories": line.get("categories" if of_2023 else "category"),
        "price": _dollars(line.get("price")),
        "description": _paragraphs(line.get("description")),
        "average_rating": line.get("average_rating"),
        "ratings": line.get("rating_number"),
    }


def _dollars(price: str | float | None) -> float | None:
    number = re.fullmatch(r"\$?([\d,]*\.?\d+)", str(price))
    return float(number[1].replace(",", "")) if number else None


def _paragraphs(description: str | list[str] | None) -> str | None:
    return "\n".join(description) if isinstance(description, list) else description


AMAZON_REVIEWS = Dataset(
    summary="reviews and products of a category at Amazon, of 1996-2018 or 1996-2023",
    licence="none stated by its publishers, who offer it for research",
    citation="2018: J. Ni, J. Li and J. McAuley (2019), Justifying Recommendations, EMNLP; "
    "2023: Y. Hou et al. (2024), Bridging Language and Items, https://arxiv.org/abs/2403.03952",
    origin=Published(
        "a category's review file (All_Beauty.jsonl.gz) and its meta_ file",
        "https://amazon-reviews-2023.github.io or https://nijianmo.github.io/amazon",
    ),
    tables={
        "reviews": Table(
            "a review",
            _REVIEWS,
            _read_reviews,
            (r"(?!meta_)[^/]+\.jsonl?(\.gz)?",),
            several=True,
        ),
        "items": Table(
            "a product",
            _ITEMS,
            _read_items,
            (r"meta_[^/]+\.jsonl?(\.gz)?",),
            several=True,
            optional=True,
        ),
    },
    data="""\
data:
  events: {source: dataset://amazon_reviews/reviews, user: user_id, item: item_id, time: timestamp}
  items: {source: dataset://amazon_reviews/items, id: item_id, name: [title]}
  split: {kind: time, validation: 180d, test: 180d}
""",
    note="The cache holds what was given last; files of several categories in one directory are "
    "joined. Some files of 2018 repeat products and reviews.",
)
