from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tfrec.config import validate
from tfrec.data.check import Checked, check_features
from tfrec.data.config import DataConfig
from tfrec.errors import UserError
from tfrec.features import FeatureSpec

CATEGORY = {"kind": "categorical", "embedding": 4}
FEATURES = {
    "shopper": {"role": "user", **CATEGORY},
    "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 3},
    "device": {"role": "context", **CATEGORY},
    "weekday": {"role": "context", **CATEGORY},
    "sku": {"role": "item", **CATEGORY},
    "maker": {"role": "item", **CATEGORY},
    "price": {"role": "item", "kind": "numeric", "min": 0},
    "offer": {"role": "item", **CATEGORY},
}

Check = Callable[..., dict[str, Checked]]


@pytest.fixture
def check(write_parquet: Callable[..., str]) -> Check:
    """Checks features against two logs of five rows, a catalogue and promotions."""

    def run(
        rows: int | None = None, features: Mapping[str, Any] | None = None
    ) -> dict[str, Checked]:
        first = write_parquet(
            shopper=[1, 1, 2, 3, None], sku=["a", "b", "a", "c", "a"], at=range(5),
            device=["app", "web", None, "app", "web"],
        )  # fmt: skip
        second = write_parquet(customer=["7", "7", "1", "9", "9"], product=["a"] * 5, when=range(5))
        items = write_parquet(
            id=["a", "b", "c", "d"], producer=["x", "y", "x", "x"], price=["1", "-2", "free", None]
        )
        offers = write_parquet(product=["a", "b"], week=[1, 2], offer=["2 for 1", "new"])
        split = {"kind": "time", "validation": 1, "test": 1}
        content = {
            "events": [
                {"source": first, "user": "shopper", "item": "sku", "time": "at"},
                {"source": second, "user": "customer", "item": "product", "time": "when"},
            ],
            "items": {"source": items, "id": "id", "columns": {"maker": "producer"}},
            "promotions": {"source": offers, "item": "product", "start": "week", "end": "week"},
            "split": split,
        }
        spec = validate(FeatureSpec, features or FEATURES, "features")
        return check_features(spec, validate(DataConfig, content, "data"), rows)

    return run


def test_every_feature_is_found_in_its_place(check: Check) -> None:
    checked = check()

    assert {name: feature.place for name, feature in checked.items()} == {
        "shopper": "user",
        "device": "event",
        "weekday": "calendar",
        "sku": "item",
        "maker": "catalogue",
        "price": "catalogue",
        "offer": "promotion",
    }
    assert [name for name, feature in checked.items() if feature.finding is None] == ["weekday"]


def test_columns_of_several_logs_are_counted_together(check: Check) -> None:
    checked = check()

    shopper, device, sku = (checked[name].finding.facts for name in ("shopper", "device", "sku"))
    assert (shopper.rows, shopper.distinct, shopper.missing) == (10, 5, 0.1)
    assert (device.rows, device.distinct, device.missing) == (10, 2, 0.6)
    assert (sku.rows, sku.distinct) == (10, 3)


def test_column_of_another_name_is_found(check: Check) -> None:
    assert check()["maker"].finding.facts.distinct == 2


def test_rows_that_preparation_would_reject_are_counted_by_reason(check: Check) -> None:
    price = check()["price"].finding

    assert sorted(price.rejected.values()) == [1, 1]
    assert price.rejected["less than 0"] == 1
    assert len(price.errors) == 2  # each is more than 1 % of 4 rows


def test_only_as_many_rows_as_asked_for_are_read(check: Check) -> None:
    checked = check(rows=2)

    assert checked["shopper"].finding.facts.rows == 4
    assert checked["maker"].finding.facts.rows == 2


def test_feature_without_a_column_is_named(check: Check) -> None:
    with pytest.raises(UserError, match=r"^features\.brand: no column 'brand' in the data"):
        check(features={**FEATURES, "brand": {"role": "item", **CATEGORY}})
