from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest

from tfrec.config import validate
from tfrec.data.columns import find_columns
from tfrec.data.config import DataConfig
from tfrec.errors import UserError
from tfrec.features import FeatureSpec

LOG = ["shopper", "sku", "at", "channel", "age"]
ITEMS = ["sku", "title", "size", "aisle"]
PROMOTIONS = {"source": "p", "item": "sku", "start": "from", "end": "to"}


def category(role: str) -> dict[str, Any]:
    return {"role": role, "kind": "categorical", "embedding": 2}


NUMBER = {"role": "user", "kind": "numeric"}
FEATURES = {
    "shopper": category("user"),
    "age": category("user"),
    "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 2},
    "days_since_last_visit": NUMBER,
    "visits_before": NUMBER,
    "events_before": NUMBER,
    "sku": category("item"),
    "aisle": category("item"),
    "channel": category("context"),
    "weekday": category("context"),
    "hour": category("context"),
}
SPEC = validate(FeatureSpec, FEATURES)


def refusal(
    config: DataConfig,
    features: dict[str, Any] | None = None,
    logs: Sequence[Collection[str]] = (LOG,),
    items: Collection[str] = ITEMS,
    promotions: Collection[str] = (),
) -> list[str]:
    spec = validate(FeatureSpec, features or FEATURES)
    with pytest.raises(UserError) as caught:
        find_columns(spec, config, logs, items, promotions)
    return str(caught.value).splitlines()


def test_every_feature_is_found_in_its_place(small_config: DataConfig) -> None:
    columns = find_columns(SPEC, small_config, [LOG], ITEMS)

    assert columns.places == {
        "shopper": "user",
        "age": "event",
        "days_since_last_visit": "behaviour",
        "visits_before": "behaviour",
        "events_before": "behaviour",
        "sku": "item",
        "aisle": "catalogue",
        "channel": "event",
        "weekday": "calendar",
        "hour": "calendar",
    }
    assert columns.at("event", "calendar") == ["age", "channel", "weekday", "hour"]


def test_column_of_the_log_goes_before_what_could_be_made(small_config: DataConfig) -> None:
    columns = find_columns(SPEC, small_config, [[*LOG, "weekday", "visits_before"]], ITEMS)

    assert columns.at("event") == ["age", "visits_before", "channel", "weekday"]
    assert columns.at("calendar") == ["hour"]


def test_item_feature_is_read_from_the_catalogue_or_else_from_the_promotions(
    make_config: Callable[..., DataConfig],
) -> None:
    config = make_config(promotions=PROMOTIONS)
    spec = validate(FeatureSpec, {**FEATURES, "offer": category("item")})

    columns = find_columns(spec, config, [LOG], ITEMS, ["sku", "from", "to", "offer", "aisle"])

    assert columns.places["offer"] == "promotion"
    assert columns.places["aisle"] == "catalogue"


def test_feature_may_have_a_column_of_another_name(make_config: Callable[..., DataConfig]) -> None:
    config = make_config({"columns": {"age": "AGE"}}, items={"columns": {"aisle": "nr"}})
    log = ["shopper", "sku", "at", "channel", "AGE"]

    columns = find_columns(SPEC, config, [log], ["sku", "title", "size", "nr"])

    assert columns.places["age"] == "event"
    assert columns.places["aisle"] == "catalogue"


def test_feature_of_one_log_only_is_a_feature_of_events(
    make_config: Callable[..., DataConfig],
) -> None:
    config = make_config({}, {"user": "visitor"})

    columns = find_columns(SPEC, config, [LOG, ["visitor", "sku", "at"]], ITEMS)

    assert columns.places["age"] == "event"


def test_missing_columns_are_named_with_what_the_data_has(small_config: DataConfig) -> None:
    lines = refusal(small_config, logs=[["customer", "sku", "at", "age", "channel"]])

    assert lines == [
        "data.events.user: no column 'shopper' in the data; it has customer, sku, at, age, channel"
    ]


def test_each_missing_column_gets_a_line(make_config: Callable[..., DataConfig]) -> None:
    config = make_config(
        {"type_column": "action", "columns": {"age": "AGE"}},
        items={"updated": "day"},
        promotions={**PROMOTIONS, "match": ["store"]},
        pairs={"substitutes": "category"},
    )

    lines = refusal(config, logs=[["shopper", "sku"]], items=["sku", "title"], promotions=["sku"])

    assert sorted({line.split(":")[0] for line in lines}) == [
        "data.events.columns.age",
        "data.events.time",
        "data.events.type_column",
        "data.items.name",
        "data.items.updated",
        "data.pairs.substitutes",
        "data.promotions.end",
        "data.promotions.match",
        "data.promotions.start",
        "features.aisle",
        "features.channel",
    ]


def test_log_of_several_is_told_by_its_number(
    make_config: Callable[..., DataConfig],
) -> None:
    config = make_config({}, {"user": "visitor"})

    (line,) = refusal(config, logs=[LOG, LOG])

    assert line.startswith("data.events.1.user: no column 'visitor' in the data; ")


def test_feature_that_is_nowhere_is_told_of_what_can_be_made(small_config: DataConfig) -> None:
    (line,) = refusal(small_config, {"month": category("context"), "sku": category("item")})

    assert line == (
        "features.month: no column 'month' in the data; it has shopper, sku, at, channel, age, "
        "weekday, hour, days_since_last_visit, visits_before, events_before"
    )


@pytest.mark.parametrize(
    ("name", "feature"),
    [
        ("weekday", {"role": "context", "kind": "numeric"}),
        ("visits_before", category("user")),
        ("events_before", {"role": "context", "kind": "numeric"}),
    ],
)
def test_made_value_is_no_feature_of_another_kind_or_role(
    small_config: DataConfig, name: str, feature: dict[str, Any]
) -> None:
    (line,) = refusal(small_config, {"sku": category("item"), name: feature})

    assert line.startswith(f"features.{name}: no column {name!r} in the data; ")


def test_item_feature_is_not_looked_for_in_the_log(small_config: DataConfig) -> None:
    features = {"channel": category("item"), "shopper": category("user")}

    (line,) = refusal(small_config, features)

    assert line.startswith("features.channel: no column 'channel' in the data; it has sku, title")


def test_negatives_with_features_of_promotions_are_refused(
    make_config: Callable[..., DataConfig],
) -> None:
    config = make_config(promotions=PROMOTIONS, labels={"kind": "negatives"})
    features = {**FEATURES, "offer": category("item")}

    (line,) = refusal(config, features, promotions=["sku", "from", "to", "offer"])

    assert line.startswith("data.labels: ")
    assert "use kind impressions" in line
    impressions = make_config(promotions=PROMOTIONS, labels={"kind": "impressions"})
    spec = validate(FeatureSpec, features)
    find_columns(spec, impressions, [LOG], ITEMS, ["sku", "from", "to", "offer"])
