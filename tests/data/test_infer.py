from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import yaml

from tfrec.config import validate
from tfrec.data.columns import find_columns
from tfrec.data.config import DataConfig, Items, Log
from tfrec.data.infer import infer_features
from tfrec.errors import UserError
from tfrec.features import FeatureSpec

USERS, ITEMS, EVENTS = 30, 80, 4000


@pytest.fixture
def sources(write_parquet: Callable[..., str]) -> tuple[Log, Items]:
    """A log and a catalogue with a column for each rule."""
    random = np.random.default_rng(0)
    users, items = random.integers(USERS, size=EVENTS), random.integers(ITEMS, size=EVENTS)
    time = np.sort(random.integers(1_600_000_000, 1_610_000_000, size=EVENTS))
    events = write_parquet(
        shopper=users,
        sku=items,
        at=time,
        segment=[f"segment {user % 4}" for user in users],
        age=(18 + users).tolist(),
        aisle=[f"aisle {item % 5}" for item in items],
        order=[f"order {number // 3}" for number in range(EVENTS)],
        device=random.choice(["phone", "desk", "app"], EVENTS),
        store_id=random.integers(10, size=EVENTS),
        month=[f"month {number * 12 // EVENTS}" for number in range(EVENTS)],
        quantity=random.integers(1, 5, size=EVENTS),
        paid=random.exponential(5, size=EVENTS),
        currency=["EUR"] * EVENTS,
        _line=range(EVENTS),
    )
    catalogue = write_parquet(
        id=range(ITEMS),
        maker=[f"maker {item % 7}" for item in range(ITEMS)],
        price=np.exp(2 * random.standard_normal(ITEMS)),
        code=[f"c{item}" for item in range(ITEMS)],
    )
    log = Log(source=events, user="shopper", item="sku", time="at")
    return log, Items(source=catalogue, id="id")


def sections(text: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The features of a section, and what it says of the columns left out."""
    lines = [line.removeprefix("  # ") for line in text.splitlines() if line.startswith("  # ")]
    return yaml.safe_load(text)["features"], dict(line.split(": left out: ") for line in lines)


def test_role_and_kind_follow_from_the_data(sources: tuple[Log, Items]) -> None:
    features, _ = sections(infer_features(*sources, roles={}, rows=10_000))

    assert {name: (f["role"], f["kind"]) for name, f in features.items()} == {
        "shopper": ("user", "categorical"),
        "recent_sku": ("user", "sequence"),
        "segment": ("user", "categorical"),
        "age": ("user", "categorical"),
        "device": ("context", "categorical"),
        "store_id": ("context", "categorical"),
        "weekday": ("context", "categorical"),
        "hour": ("context", "categorical"),
        "sku": ("item", "categorical"),
        "maker": ("item", "categorical"),
        "price": ("item", "numeric"),
    }
    assert features["recent_sku"]["of"] == "sku"
    assert features["price"]["transform"] == "log"


def test_what_would_tell_the_item_or_teach_nothing_is_left_out(sources: tuple[Log, Items]) -> None:
    _, left_out = sections(infer_features(*sources, roles={}, rows=10_000))

    assert left_out == {
        "aisle": "has one value for each item, so it would tell the item",
        "order": "1,334 values of few rows each, as an order's id",
        "month": "its values come and go with time",
        "quantity": "a number of the event, seldom known before it",
        "paid": "a number of the event, seldom known before it",
        "currency": "a single value",
        "_line": "names with a leading underscore are the framework's own",
        "code": "every value is another one, as an id's",
    }


def test_times_of_another_unit_show_what_comes_and_goes_with_them(
    write_parquet: Callable[..., str], sources: tuple[Log, Items]
) -> None:
    days = np.arange(EVENTS) // 100
    events = write_parquet(
        shopper=np.arange(EVENTS) % USERS,
        sku=np.arange(EVENTS) % ITEMS,
        at=1_600_000_000_000 + 86_400_000 * days,
        week=[f"week {day // 7}" for day in days],
    )
    log = Log(source=events, user="shopper", item="sku", time="at")

    _, left_out = sections(infer_features(log, sources[1], roles={}, rows=10_000))

    assert left_out["week"] == "its values come and go with time"


def test_role_that_is_given_is_taken(sources: tuple[Log, Items]) -> None:
    roles = {"quantity": "weight", "paid": "context", "order": "context"}

    features, left_out = sections(infer_features(*sources, roles=roles, rows=10_000))

    assert features["quantity"] == {"role": "weight", "kind": "numeric"}
    assert (features["paid"]["role"], features["paid"]["kind"]) == ("context", "numeric")
    assert features["order"]["kind"] == "categorical"
    assert not roles.keys() & left_out.keys()


def test_proposal_says_from_how_many_rows_it_is(sources: tuple[Log, Items]) -> None:
    text = infer_features(*sources, roles={}, rows=50)

    assert text.startswith("# Proposed from 50 rows of the events and 50 of the items")


def test_proposal_fits_the_data_section(sources: tuple[Log, Items]) -> None:
    log, items = sources
    features, _ = sections(infer_features(log, items, roles={}, rows=10_000))
    spec = validate(FeatureSpec, features)
    split = {"kind": "time", "validation": "1d", "test": "1d"}
    config = validate(
        DataConfig, {"events": log.model_dump(), "items": items.model_dump(), "split": split}
    )

    columns = find_columns(
        spec,
        config,
        [["shopper", "sku", "at", "segment", "age", "device", "store_id"]],
        ["id", "maker", "price"],
    )

    assert columns.places.keys() == spec.columns.keys()


def test_column_that_is_not_there_is_named_with_its_option(sources: tuple[Log, Items]) -> None:
    log, items = sources

    with pytest.raises(UserError) as caught:
        infer_features(
            log.model_copy(update={"user": "customer"}),
            items.model_copy(update={"id": "sku"}),
            roles={"size": "item"},
            rows=100,
        )

    assert [line.split("; ")[0] for line in str(caught.value).splitlines()] == [
        "--user: no column 'customer' in the data",
        "--id: no column 'sku' in the data",
        "--role-of size=item: no column 'size' in the data",
    ]
