from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tfrec.data import datasets
from tfrec.errors import UserError

FILES = {
    "events.csv": (
        "timestamp,visitorid,event,itemid,transactionid\n"
        "1433221332117,257597,view,355908,\n"
        "1433222276276,599528,transaction,356475,4000\n"
    ),
    "item_properties_part1.csv": (
        "timestamp,itemid,property,value\n"
        "1435460400000,460429,categoryid,1338\n"
        "1441508400000,206783,888,1116713 960601 n277.200\n"
        "1439089200000,460429,available,1\n"
        "1431226800000,9,categoryid,5\n"
    ),
    "item_properties_part2.csv": (
        "timestamp,itemid,property,value\n"
        "1431226800000,460429,categoryid,7\n"
        "1442113200000,460429,available,0\n"
        "1439694000000,9,categoryid,6\n"
        "1433041200000,10,available,1\n"
    ),
    "category_tree.csv": "categoryid,parentid\n1016,213\n231,\n",
}


@pytest.fixture
def published(write: Callable) -> Path:
    """A directory with all files."""
    for name, text in FILES.items():
        folder = write(name, text)
    return folder


def test_events_have_moments_to_the_millisecond(published: Path, read: Callable) -> None:
    datasets.fetch_dataset("retailrocket", published)

    assert read("retailrocket", "events") == [
        {
            "timestamp": datetime(2015, 6, 2, 5, 2, 12, 117_000),
            "visitor_id": "257597",
            "event": "view",
            "item_id": "355908",
            "transaction_id": None,
        },
        {
            "timestamp": datetime(2015, 6, 2, 5, 17, 56, 276_000),
            "visitor_id": "599528",
            "event": "transaction",
            "item_id": "356475",
            "transaction_id": "4000",
        },
    ]


def test_items_have_their_newest_category_and_availability_of_both_files(
    published: Path, read: Callable
) -> None:
    datasets.fetch_dataset("retailrocket", published)

    assert read("retailrocket", "items") == [
        {"item_id": "9", "category_id": "6", "available": None},
        {"item_id": "10", "category_id": None, "available": True},
        {"item_id": "460429", "category_id": "1338", "available": False},
    ]


def test_top_categories_have_no_parent(published: Path, read: Callable) -> None:
    datasets.fetch_dataset("retailrocket", published)

    assert read("retailrocket", "categories") == [
        {"category_id": "1016", "parent_id": "213"},
        {"category_id": "231", "parent_id": None},
    ]


def test_half_of_the_properties_is_refused(published: Path, cache: Path) -> None:
    (published / "item_properties_part2.csv").unlink()

    with pytest.raises(UserError, match=r"lacks item_properties_part2\.csv, which is items; give"):
        datasets.fetch_dataset("retailrocket", published)

    assert list(cache.glob("[!.]*")) == []
