from typing import Any

from tfrec.config import validate
from tfrec.features import FeatureSpec
from tfrec.features.differences import differences

FEATURES: dict[str, dict[str, Any]] = {
    "shopper": {"role": "user", "kind": "categorical", "embedding": 8},
    "sku": {"role": "item", "kind": "categorical", "embedding": 8},
    "price": {"role": "item", "kind": "numeric"},
}


def spec(**changes: dict[str, Any] | None) -> FeatureSpec:
    features = {**FEATURES, **changes}
    return validate(FeatureSpec, {name: one for name, one in features.items() if one})


def test_equal_specs_have_no_differences() -> None:
    assert list(differences(spec(), spec())) == []


def test_order_differs_where_a_tower_would_take_one_feature_for_another() -> None:
    across_towers = {name: FEATURES[name] for name in ("sku", "price", "shopper")}
    in_a_tower = {name: FEATURES[name] for name in ("shopper", "price", "sku")}

    assert list(differences(spec(), validate(FeatureSpec, across_towers))) == []
    assert list(differences(spec(), validate(FeatureSpec, in_a_tower))) == [
        "the order was sku, price, is price, sku"
    ]


def test_features_that_came_went_or_changed_are_named() -> None:
    new = spec(
        price=None,
        sku={**FEATURES["sku"], "embedding": 16, "min_count": 2},
        shopper={"role": "user", "kind": "text", "embedding": 8, "rows": 10},
        aisle={**FEATURES["sku"], "embedding": 2},
    )

    assert list(differences(spec(), new)) == [
        "shopper.kind was categorical, is text",
        "sku.embedding was 8, is 16",
        "sku.min_count was 1, is 2",
        "price is gone",
        "aisle is new",
    ]
