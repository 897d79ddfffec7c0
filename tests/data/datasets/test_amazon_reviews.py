import gzip
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tfrec.data import datasets
from tfrec.errors import UserError

REVIEW_2018 = {
    "image": ["https://images.example/71.jpg"],
    "overall": 5.0,
    "vote": "1,002",
    "verified": True,
    "reviewTime": "01 1, 2018",
    "reviewerID": "AUI6WTTT0QZYS",
    "asin": "5120053084",
    "style": {"Size:": "Large", "Color:": "Charcoal"},
    "reviewerName": "Abbey",
    "reviewText": "Fits; the café staff wear it too.",
    "summary": "Comfy, \"flattering\"",
    "unixReviewTime": 1514764800,
}  # fmt: skip
ITEM_2018 = {
    "asin": "5120053084",
    "title": "Shirt",
    "feature": ["Soft"],
    "description": ["Long.", "Loose."],
    "price": "$1,003.17",
    "also_buy": ["B00JHONN1S"],
    "rank": ["96,972 in Clothing"],
    "brand": "Coxlures",
    "category": ["Clothing", "Shirts"],
    "main_cat": "Fashion",
}
REVIEW_2023 = {
    "rating": 3.0,
    "title": "Meh",
    "text": "Soft but small.",
    "images": [],
    "asin": "B088SZDGXG",
    "parent_asin": "B08BBQ29N5",
    "user_id": "AEYORY2AVPMCPDV57CE337YU5LXA",
    "timestamp": 1634275259292,
    "helpful_vote": 4,
    "verified_purchase": True,
}
ITEM_2023 = {
    "main_category": "All Beauty",
    "title": "Locs",
    "average_rating": 3.8,
    "rating_number": 384,
    "features": [],
    "description": [],
    "price": 17.98,
    "images": [],
    "videos": [],
    "store": "Yaheetech",
    "categories": [],
    "details": {"Brand": "Yaheetech"},
    "parent_asin": "B08BBQ29N5",
    "bought_together": None,
}


def lines(*records: dict) -> str:
    return "".join(f"{json.dumps(record)}\n" for record in records)


def test_reviews_and_products_of_2018(write: Callable, read: Callable) -> None:
    short = {key: REVIEW_2018[key] for key in REVIEW_2018 if key not in ("vote", "reviewText")}
    text = lines(REVIEW_2018, short)
    write("AMAZON_FASHION.json.gz", gzip.compress(text.encode()))
    source = write("meta_AMAZON_FASHION.json.gz", gzip.compress(lines(ITEM_2018).encode()))

    datasets.fetch_dataset("amazon_reviews", source)

    first, second = read("amazon_reviews", "reviews")
    assert first == {
        "user_id": "AUI6WTTT0QZYS",
        "item_id": "5120053084",
        "asin": "5120053084",
        "rating": 5.0,
        "timestamp": datetime(2018, 1, 1),
        "verified": True,
        "helpful_votes": 1002,
        "title": 'Comfy, "flattering"',
        "text": "Fits; the café staff wear it too.",
    }
    assert (second["helpful_votes"], second["text"]) == (0, None)
    (item,) = read("amazon_reviews", "items")
    assert item == {
        "item_id": "5120053084",
        "title": "Shirt",
        "brand": "Coxlures",
        "main_category": "Fashion",
        "categories": ["Clothing", "Shirts"],
        "price": 1003.17,
        "description": "Long.\nLoose.",
        "average_rating": None,
        "ratings": None,
    }


def test_reviews_and_products_of_2023(write: Callable, read: Callable) -> None:
    write("All_Beauty.jsonl", lines(REVIEW_2023))
    source = write("meta_All_Beauty.jsonl", lines(ITEM_2023))

    datasets.fetch_dataset("amazon_reviews", source)

    (review,) = read("amazon_reviews", "reviews")
    assert (review["item_id"], review["asin"]) == ("B08BBQ29N5", "B088SZDGXG")
    assert review["timestamp"] == datetime(2021, 10, 15, 5, 20, 59, 292_000)
    assert review["helpful_votes"] == 4
    (item,) = read("amazon_reviews", "items")
    assert (item["item_id"], item["brand"], item["price"]) == ("B08BBQ29N5", "Yaheetech", 17.98)
    assert (item["average_rating"], item["ratings"]) == (3.8, 384)


@pytest.mark.parametrize(
    ("price", "expected"),
    [("$8.99", 8.99), (None, None), ("—", None), ("$1.00 - $2.00", None), ("<style>a{}", None)],
)
def test_price_that_is_no_amount_is_null(
    write: Callable, read: Callable, price: str | None, expected: float | None
) -> None:
    write("All_Beauty.jsonl", lines(REVIEW_2023))
    source = write("meta_All_Beauty.jsonl", lines({**ITEM_2023, "price": price}))

    datasets.fetch_dataset("amazon_reviews", source)

    assert read("amazon_reviews", "items")[0]["price"] == expected


def test_reviews_alone_are_enough_until_products_are_asked_for(
    write: Callable, read: Callable
) -> None:
    source = write("All_Beauty.jsonl", lines(REVIEW_2023)) / "All_Beauty.jsonl"

    datasets.fetch_dataset("amazon_reviews", source)

    assert len(read("amazon_reviews", "reviews")) == 1
    with pytest.raises(UserError, match=r"amazon_reviews/items: was not among the files .* --from"):
        datasets.fetch("amazon_reviews", "items")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (lines({"rating": 1.0}), "line 2: lacks 'user_id'"),
        (lines({**REVIEW_2023, "rating": "x"}), "line 2: could not convert string to float: 'x'"),
        ('{"rating": 1.0, "ti', "line 2: unexpected end of data"),
        ("[]\n", "line 2: list indices"),
    ],
)
def test_line_that_is_no_review_is_named(
    write: Callable, cache: Path, line: str, message: str
) -> None:
    source = write("All_Beauty.jsonl", lines(REVIEW_2023) + line)

    with pytest.raises(UserError, match=rf"All_Beauty\.jsonl: {message}"):
        datasets.fetch_dataset("amazon_reviews", source)

    assert list(cache.glob("[!.]*")) == []


def test_file_whose_end_is_missing_is_refused(write: Callable) -> None:
    whole = gzip.compress(lines(*[REVIEW_2023] * 100).encode())
    source = write("All_Beauty.jsonl.gz", whole[:-20])

    with pytest.raises(UserError, match=r"All_Beauty\.jsonl\.gz: .*; give the file as published"):
        datasets.fetch_dataset("amazon_reviews", source)
