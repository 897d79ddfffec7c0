from collections.abc import Callable, Collection
from typing import Any

import pyarrow as pa
import pytest

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns, find_columns
from tfrec.data.config import DataConfig
from tfrec.data.events import USER
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, TIME

EVENTS = ["shopper", "sku", "at", "channel", "age"]
ITEMS = ["sku", "title", "size", "aisle"]


def category(role: str) -> dict[str, Any]:
    return {"role": role, "kind": "categorical", "embedding": 2}


SPEC = validate(
    FeatureSpec,
    {
        "shopper": category("user"),
        "age": category("user"),
        "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 2},
        "sku": category("item"),
        "aisle": category("item"),
        "channel": category("context"),
        "weekday": category("context"),
        "hour": category("context"),
    },
)


def refusal(
    config: DataConfig,
    spec: FeatureSpec = SPEC,
    events: Collection[str] = EVENTS,
    items: Collection[str] = ITEMS,
) -> list[str]:
    with pytest.raises(UserError) as caught:
        find_columns(spec, config, events, items)
    return str(caught.value).splitlines()


def test_every_feature_is_found_in_log_catalogue_or_calendar(small_config: DataConfig) -> None:
    assert find_columns(SPEC, small_config, EVENTS, ITEMS) == Columns(
        user_id="shopper",
        item_id="sku",
        item=("aisle",),
        event=("age", "channel"),
        calendar=("weekday", "hour"),
    )


def test_column_of_the_log_goes_before_the_calendar(small_config: DataConfig) -> None:
    columns = find_columns(SPEC, small_config, [*EVENTS, "weekday"], ITEMS)

    assert columns.event == ("age", "channel", "weekday")
    assert columns.calendar == ("hour",)


def test_missing_columns_are_named_with_what_the_data_has(small_config: DataConfig) -> None:
    lines = refusal(small_config, events=["customer", "sku", "at", "age", "channel"])

    assert lines == [
        "data.events.user: no column 'shopper' in the data; it has customer, sku, at, age, channel"
    ]


def test_each_missing_column_gets_a_line(small_config: DataConfig) -> None:
    lines = refusal(small_config, events=["shopper", "sku"], items=["sku", "title"])

    assert [line.split(":")[0] for line in lines] == [
        "data.events.time",
        "data.items.name",
        "features.age",
        "features.aisle",
        "features.channel",
    ]


def test_context_feature_that_is_nowhere_is_told_of_the_calendar(small_config: DataConfig) -> None:
    spec = validate(FeatureSpec, {"month": category("context"), "sku": category("item")})

    (line,) = refusal(small_config, spec)

    assert line == (
        "features.month: no column 'month' in the data; "
        "it has shopper, sku, at, channel, age, weekday, hour"
    )


def test_item_feature_is_not_looked_for_in_the_log(small_config: DataConfig) -> None:
    spec = validate(FeatureSpec, {"channel": category("item"), "shopper": category("user")})

    (line,) = refusal(small_config, spec)

    assert line.startswith("features.channel: no column 'channel' in the data; it has sku, title")


def test_values_are_read_from_where_they_are(write_catalogue: Callable[..., Catalogue]) -> None:
    catalogue = write_catalogue(["a", "b", "c"], aisle=["dairy", None, "bread"])
    columns = Columns("shopper", "sku", ("aisle",), ("channel",), ("weekday", "hour"))
    events = pa.table(
        {
            USER: ["u", "v"],
            ITEM_ROW: [2, 1],
            TIME: [0, 3 * 86_400 + 13 * 3600 + 59],
            "channel": ["web", None],
        }
    )

    values = columns.values(
        ["shopper", "sku", "aisle", "channel", "weekday", "hour"], events, catalogue
    )

    assert {name: column.to_pylist() for name, column in values.items()} == {
        "shopper": ["u", "v"],
        "sku": ["c", "b"],
        "aisle": ["bread", None],
        "channel": ["web", None],
        "weekday": ["Thursday", "Sunday"],
        "hour": ["00", "13"],
    }


def test_item_values_stand_in_the_order_of_the_catalogue(
    write_catalogue: Callable[..., Catalogue],
) -> None:
    catalogue = write_catalogue(["a", "b"], aisle=["dairy", None])
    columns = Columns("shopper", "sku", ("aisle",), (), ())

    assert columns.item_values("sku", catalogue).to_pylist() == ["a", "b"]
    assert columns.item_values("aisle", catalogue).to_pylist() == ["dairy", None]
