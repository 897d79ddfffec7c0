from collections.abc import Callable
from pathlib import Path

import pytest

from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.item_counts import count_items
from tfrec.data.prepared import PreparedData
from tfrec.data.splits import ByTime

COLUMNS = Columns({"shopper": "user", "sku": "item"})


@pytest.mark.parametrize(
    ("part", "expected"),
    [("train", [2, 0, 1, 0]), ("validation", [0, 1, 0, 0]), ("test", [1, 0, 0, 0])],
)
def test_examples_of_each_item_are_counted_by_part_over_all_files(
    output: PreparedData,
    write_catalogue: Callable[..., Catalogue],
    write_events: Callable[..., Path],
    make_config: Callable[..., DataConfig],
    part: str,
    expected: list[int],
) -> None:
    config = make_config({"weights": {"buy": 1, "shown": 0}})
    write_catalogue(list("abcd"))
    write_events([("u", 10, 0, "buy", None), ("u", 20, 1, "buy", None)], "events-0")
    write_events(
        [
            ("v", 5, 0, "buy", None), ("v", 6, 2, "buy", None), ("v", 7, 3, "shown", None),
            ("v", 30, 0, "buy", None),
        ],
        "events-1",
    )  # fmt: skip

    count_items(config, COLUMNS, ByTime(15, 25), 4, output)

    assert output.item_counts(part).tolist() == expected
