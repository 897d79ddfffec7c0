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


def test_sequence_of_a_feature_that_is_no_category_is_refused() -> None:
    number = {"role": "item", "kind": "numeric"}

    assert "other.of: 'price' is no categorical feature" in refusal(
        price=number, other={**SEQUENCE, "of": "price"}
    )


KINDS = "categorical, multi_categorical, numeric, sequence, text, vector"


def test_unknown_kind_is_refused_with_the_known_ones() -> None:
    assert refusal(shopper={**CATEGORY, "kind": "categoric"}) == (
        f"features.shopper.kind: 'categoric': unknown; known: {KINDS}"
    )


def test_missing_kind_is_refused_with_the_known_ones() -> None:
    assert refusal(shopper={"role": "user"}) == (f"features.shopper.kind: missing; known: {KINDS}")


def test_unknown_key_is_refused_with_those_of_the_kind() -> None:
    assert refusal(recent={**SEQUENCE, "length": 5}) == (
        "features.recent.length: unknown key; "
        "known here: role, kind, of, last, within, types, pooling"
    )


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


ITEM: dict[str, Any] = {"role": "item"}


@pytest.mark.parametrize(
    ("feature", "remedy"),
    [
        ({**CATEGORY, "lookup": "hash"}, "lookup hash needs rows, the size of its table"),
        ({**CATEGORY, "lookup": "identity"}, "lookup identity needs rows, the size of its table"),
        (
            {**CATEGORY, "lookup": "hash", "rows": 9, "min_count": 2},
            "lookup hash has no vocabulary; leave min_count out",
        ),
        (
            {**ITEM, "kind": "multi_categorical", "embedding": 2, "lookup": "hash"},
            "lookup hash needs rows, the size of its table",
        ),
        (
            {**ITEM, "kind": "numeric", "transform": "bucketise", "buckets": 4},
            "transform bucketise needs buckets and embedding; no other takes them",
        ),
        (
            {**ITEM, "kind": "numeric", "buckets": 4, "embedding": 2},
            "transform bucketise needs buckets and embedding; no other takes them",
        ),
        (
            {**ITEM, "kind": "numeric", "transform": "log"},
            "transform log needs a min above -1, e.g. min: 0",
        ),
        (
            {**ITEM, "kind": "numeric", "transform": "log", "min": -1},
            "transform log needs a min above -1, e.g. min: 0",
        ),
        (
            {**CATEGORY, "lookup": "dynamic"},
            "lookup dynamic needs rows, the size of its table",
        ),
        (
            {**CATEGORY, "lookup": "dynamic", "rows": 9, "min_count": 9000},
            "lookup dynamic counts to 8000; lower min_count",
        ),
        (
            {**CATEGORY, "evict": {"by": "least_used"}},
            "lookup vocabulary never evicts; leave evict out",
        ),
        (
            {**ITEM, "kind": "categorical"},
            "embedding: missing; give floats per row, e.g. 32, or share a table",
        ),
        (
            {**ITEM, "kind": "categorical", "share": "sku", "lookup": "hash"},
            "share: lookup is sku's to say; leave it out",
        ),
        (
            {**ITEM, "kind": "multi_categorical", "share": "sku", "unknown_rows": 2},
            "share: unknown_rows is sku's to say; leave it out",
        ),
        ({**ITEM, "kind": "numeric", "min": 2, "max": 1}, "min 2.0 is more than max 1.0"),
        (
            {"role": "label", "kind": "numeric", "transform": "standardise"},
            "role label is written as it is; leave transform out",
        ),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(
    feature: dict[str, object], remedy: str
) -> None:
    assert refusal(other=feature) == f"features.other: {remedy}"


@pytest.mark.parametrize(
    ("feature", "key"),
    [
        ({**ITEM, "kind": "text", "embedding": 2, "rows": 0}, "rows"),
        ({**ITEM, "kind": "text", "embedding": 2, "rows": 9, "ngrams": 6}, "ngrams"),
        ({**ITEM, "kind": "vector", "dim": 0}, "dim"),
        ({**ITEM, "kind": "vector", "dim": 2, "separator": ""}, "separator"),
        ({**ITEM, "kind": "numeric", "transform": "square"}, "transform"),
        ({"role": "label", "kind": "categorical", "embedding": 2}, "role"),
        ({**CATEGORY, "lookup": "dynamic", "rows": 9, "evict": {"by": "age"}}, "evict.after"),
        ({**CATEGORY, "lookup": "dynamic", "rows": 9, "evict": {"by": "luck"}}, "evict.by"),
        ({**SEQUENCE, "pooling": "max"}, "pooling"),
        ({**ITEM, "kind": "text", "embedding": 2, "rows": 9, "pooling": "max"}, "pooling"),
    ],
)
def test_wrong_value_of_another_kind_is_named(feature: dict[str, object], key: str) -> None:
    assert refusal(other=feature).startswith(f"features.other.{key}: ")


@pytest.mark.parametrize(
    ("role", "transform"),
    [
        *[("user", "standardise"), ("item", "standardise"), ("context", "standardise")],
        *[("label", "none"), ("weight", "none"), ("time", "none")],
    ],
)
def test_number_is_standardised_where_a_model_takes_it(role: str, transform: str) -> None:
    spec = FeatureSpec.model_validate({**CONTENT, "number": {"role": role, "kind": "numeric"}})

    assert spec["number"].transform == transform
    assert ("number" in spec.inputs) is (transform == "standardise")


def test_columns_are_all_features_but_sequences() -> None:
    assert list(FeatureSpec.model_validate(CONTENT).columns) == ["shopper", "sku", "weekday"]


SHARED: dict[str, Any] = {"role": "user", "kind": "multi_categorical", "share": "sku"}


@pytest.mark.parametrize(
    ("name", "owner"),
    [("sku", "sku"), ("recent", "sku"), ("wished", "sku"), ("last_sku", "sku"), ("seen", "sku")],
)
def test_table_of_a_feature_is_its_own_or_that_of_the_feature_it_shares_with(
    name: str, owner: str
) -> None:
    spec = FeatureSpec.model_validate(
        {
            **CONTENT,
            "wished": SHARED,
            "last_sku": {**CATEGORY, "share": "sku"},
            "seen": {**SEQUENCE, "of": "last_sku"},
        }
    )

    assert spec.table_of(name) == owner


def test_spec_with_shared_tables_says_the_same_after_a_round_trip() -> None:
    spec = FeatureSpec.model_validate({**CONTENT, "wished": SHARED})

    assert FeatureSpec.model_validate(spec.model_dump()) == spec


@pytest.mark.parametrize("target", ["recent", "nothing", "wished", "other"])
def test_sharing_with_a_feature_without_a_lookup_of_its_own_is_refused(target: str) -> None:
    message = refusal(wished=SHARED, other={**SHARED, "share": target})

    assert message == (
        f"features: other.share: {target!r} has no lookup of its own; "
        "name one of shopper, sku, weekday"
    )


def test_shared_table_of_another_width_is_refused() -> None:
    assert refusal(wished={**SHARED, "embedding": 8}) == (
        "features: wished.embedding: 8 is not sku's 4; leave it out"
    )


def test_shared_table_of_the_same_width_is_taken() -> None:
    spec = FeatureSpec.model_validate({**CONTENT, "wished": {**SHARED, "embedding": 4}})

    assert spec.table_of("wished") == "sku"


def test_age_is_written_as_a_duration() -> None:
    evict = {"by": "age", "after": "30d"}
    dynamic = {**CATEGORY, "lookup": "dynamic", "rows": 9, "evict": evict}

    spec = FeatureSpec.model_validate({**CONTENT, "other": dynamic})

    assert spec["other"].evict.after == 30 * 86_400
