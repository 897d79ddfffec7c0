from typing import Any

import pydantic
import pytest

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.features import FeatureSpec

CATEGORY = {"role": "user", "kind": "categorical", "embedding": 4}
SEQUENCE = {"role": "user", "kind": "sequence", "of": "sku", "last": 3}
CONTENT = {
    "shopper": CATEGORY,
    "recent": SEQUENCE,
    "sku": {**CATEGORY, "role": "item"},
    "weekday": {**CATEGORY, "role": "context"},
}


def refusal(**features: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        validate(FeatureSpec, {**CONTENT, **features}, "features")
    return str(caught.value)


def test_features_are_found_by_kind_and_role_in_the_order_of_the_config() -> None:
    spec = FeatureSpec.model_validate(CONTENT)

    assert list(spec.categories) == ["shopper", "sku", "weekday"]
    assert list(spec.sequences) == ["recent"]
    assert spec.of_role("context", "user") == ["shopper", "recent", "weekday"]
    assert spec["recent"].of == "sku"


def test_sequence_of_an_unknown_feature_is_refused_with_the_known_ones() -> None:
    message = refusal(recent={**SEQUENCE, "of": "product"})

    assert "recent.of: 'product' is no categorical feature" in message
    assert "name one of shopper, sku, weekday" in message


def test_sequence_of_a_sequence_is_refused() -> None:
    assert "other.of: 'recent' is no categorical feature" in refusal(
        other={**SEQUENCE, "of": "recent"}
    )


def test_unknown_kind_is_refused_with_the_known_ones() -> None:
    message = refusal(shopper={**CATEGORY, "kind": "categoric"})

    assert message.startswith("features.shopper")
    assert all(word in message for word in ("'categoric'", "'categorical'", "'sequence'"))


@pytest.mark.parametrize(
    "change",
    [
        {"embedding": 0},
        {"embedding": "wide"},
        {"min_count": 0},
        {"unknown_share": 1.0},
        {"unknown_share": -0.1},
        {"role": "shopper"},
        {"vocabulary": 100},
    ],
)
def test_wrong_value_of_a_category_is_named(change: dict[str, object]) -> None:
    (name,) = change

    assert refusal(shopper={**CATEGORY, **change}).startswith(f"features.shopper.{name}: ")


@pytest.mark.parametrize("change", [{"last": 0}, {"role": "item"}])
def test_wrong_value_of_a_sequence_is_named(change: dict[str, object]) -> None:
    (name,) = change

    assert refusal(recent={**SEQUENCE, **change}).startswith(f"features.recent.{name}: ")


def test_missing_value_is_named_as_it_would_be_written() -> None:
    sequence = {key: value for key, value in SEQUENCE.items() if key != "last"}

    assert refusal(recent=sequence) == "features.recent.last: missing; add it to the config"


def test_spec_is_frozen() -> None:
    spec = FeatureSpec.model_validate(CONTENT)

    with pytest.raises(pydantic.ValidationError):
        spec["shopper"].embedding = 8
    with pytest.raises(pydantic.ValidationError):
        spec.root = {}


def test_name_with_a_leading_underscore_is_refused() -> None:
    assert refusal(_time=CATEGORY) == (
        "features: _time: names with a leading underscore are the framework's own"
    )


@pytest.mark.parametrize(
    ("kept", "lacking"),
    [
        (["shopper", "weekday"], "item"),
        (["sku"], "user or context"),
    ],
)
def test_spec_without_a_feature_for_each_side_is_refused(kept: list[str], lacking: str) -> None:
    content = {name: CONTENT[name] for name in kept}

    with pytest.raises(UserError, match=f"^features: no feature has the role {lacking}; add one$"):
        validate(FeatureSpec, content, "features")


@pytest.mark.parametrize("kept", [["sku", "shopper"], ["sku", "weekday"], ["sku", "recent"]])
def test_item_feature_and_one_of_user_or_context_are_enough(kept: list[str]) -> None:
    spec = validate(FeatureSpec, {name: CONTENT[name] for name in kept})

    assert list(spec.root) == kept
