from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory

import tfrec.pipelines.validation as validation
from tfrec.config import validate
from tfrec.data.prepared import TEST, TRAIN
from tfrec.deploy.validation_config import ValidationLimits
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.schema import raw_schema
from tfrec.pipelines.validation import (
    Statistics,
    limits_of,
    refuse_faults,
    statistics_options,
    validate_splits,
)

ROWS = 1000
SPEC = {
    "shopper": {"role": "user", "kind": "categorical", "embedding": 2},
    "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 5},
    "age": {"role": "user", "kind": "numeric", "min": 0, "max": 120},
    "sku": {"role": "item", "kind": "categorical", "embedding": 2},
    "tags": {"role": "item", "kind": "multi_categorical", "embedding": 2, "separator": "|"},
    "about": {"role": "item", "kind": "text", "embedding": 2, "rows": 10},
    "look": {"role": "item", "kind": "vector", "dim": 2},
    "channel": {"role": "context", "kind": "categorical", "embedding": 2},
    "rating": {"role": "label", "kind": "numeric"},
    "at": {"role": "time", "kind": "numeric"},
}
LIMITS = {"missing": 0.5, "new_values": 0.1, "drift": 0.2}
TYPES = {"age": pa.float32(), "look": pa.float32(), "rating": pa.float32(), "at": pa.int64()}


@pytest.fixture(scope="module")
def spec() -> FeatureSpec:
    return validate(FeatureSpec, SPEC)


def _columns(seed: int) -> dict[str, list[list]]:
    random = np.random.default_rng(seed)

    def some(values: Sequence[Any]) -> list[list]:
        return [[values[number]] for number in random.integers(len(values), size=ROWS)]

    return {
        "shopper": some([f"user-{number}" for number in range(3000)]),
        "age": [[age] for age in random.normal(40, 5, ROWS)],
        "sku": some([f"sku-{number}" for number in range(30)]),
        "tags": [["a", "b"][:count] for count in random.integers(3, size=ROWS)],
        "about": [[f"text {seed} {row}"] for row in range(ROWS)],
        "look": [[0.5, seed]] * ROWS,
        "channel": some(["web", "app"]),
        "rating": [[1.0]] * ROWS,
        "at": [[1_600_000_000 + 100_000 * seed + row] for row in range(ROWS)],
    }


def _statistics(columns: Mapping[str, list[list]]) -> Statistics:
    arrays = [
        pa.array([one or None for one in column], pa.list_(TYPES.get(name, pa.string())))
        for name, column in columns.items()
    ]
    batch = pa.RecordBatch.from_arrays(arrays, list(columns))
    return generate_statistics_in_memory(batch, statistics_options())


def _replace(values: list[list], share: float, by: list) -> list[list]:
    """Another value in the first rows."""
    count = round(share * len(values))
    return [by] * count + values[count:]


def _check(
    spec: FeatureSpec,
    limits: Mapping[str, Any] = LIMITS,
    last: Mapping[str, list[list]] | None = None,
    train: Mapping[str, list[list]] | None = None,
    **changed: list[list] | None,
) -> None:
    """Validates a test split of which columns are changed, or left out."""
    test = {name: col for name, col in {**_columns(1), **changed}.items() if col is not None}
    # Most shoppers of 3,000 are new in 1,000 rows.
    limits = {"features": {"shopper": {"new_values": 1}}, **limits}
    schema = limits_of(raw_schema(spec), validate(ValidationLimits, limits), spec)
    splits = {TRAIN: _statistics(train or _columns(0)), TEST: _statistics(test)}
    found = validate_splits(schema, splits, _statistics(last) if last else None)
    refuse_faults(found, splits, "somewhere/statistics")


def test_good_data_passes(spec: FeatureSpec) -> None:
    _check(spec)
    _check(spec, limits={})
    _check(spec, last=_columns(5))


def test_new_values_up_to_the_limit_pass_and_more_are_refused(spec: FeatureSpec) -> None:
    skus = _columns(1)["sku"]

    _check(spec, sku=_replace(skus, 0.08, ["sku-new"]))
    with pytest.raises(UserError) as caught:
        _check(spec, sku=_replace(_replace(skus, 0.15, ["sku-new"]), 0.05, ["sku-other"]))

    assert (
        "the data is not as expected: test sku: 15.0% of the values are new, more than 10.0%, e.g. "
        "sku-new, sku-other (pipeline.validation.new_values). Mend the data"
    ) in str(caught.value)
    assert "what is in somewhere/statistics" in str(caught.value)


def test_values_beyond_the_thousand_most_frequent_are_known(spec: FeatureSpec) -> None:
    everybody = [[f"user-{number}"] for number in range(3000)]
    train = {**{name: col * 3 for name, col in _columns(0).items()}, "shopper": everybody}

    _check(spec, limits={**LIMITS, "features": {}}, train=train)


def test_of_a_category_with_more_values_than_are_counted_none_is_called_new(
    spec: FeatureSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "_COUNTED_VALUES", 30)

    limits = {**LIMITS, "features": {"sku": {"drift": 1}, "shopper": {"new_values": 1}}}
    _check(spec, limits=limits, sku=_replace(_columns(1)["sku"], 0.9, ["sku-new"]))


def test_a_feature_that_is_missing_is_refused(spec: FeatureSpec) -> None:
    ages = _columns(1)["age"]

    _check(spec, age=_replace(ages, 0.4, []))
    with pytest.raises(UserError, match=r"test age: .*minimum fraction = 0\.5.*actual = 0\.4") as e:
        _check(spec, age=_replace(ages, 0.6, []))
    assert "(pipeline.validation.missing)" in str(e.value)
    with pytest.raises(UserError, match="test channel: Column is completely missing"):
        _check(spec, channel=None)


def test_drift_between_splits_is_refused(spec: FeatureSpec) -> None:
    columns = _columns(1)

    with pytest.raises(UserError) as caught:
        _check(
            spec,
            channel=_replace(columns["channel"], 0.7, ["web"]),
            age=[[age + 8] for (age,) in columns["age"]],
        )

    age, channel = str(caught.value).split("; test ")[0], str(caught.value).split("; test ")[1]
    assert "test age: The approximate Jensen-Shannon divergence" in age
    assert "above the threshold 0.2 (pipeline.validation.drift)" in age
    assert channel.startswith("channel: The Linfty distance between current and previous is 0.3")


def test_drift_since_the_last_run_is_refused(spec: FeatureSpec) -> None:
    last = _columns(5)
    last["channel"] = _replace(last["channel"], 0.7, ["web"])

    with pytest.raises(UserError, match="train channel: The Linfty distance"):
        _check(spec, last=last)


def test_numbers_out_of_range_are_refused(spec: FeatureSpec) -> None:
    ages = _columns(1)["age"]

    with pytest.raises(UserError, match=r"test age: Unexpectedly high value: 500>120.*features\.a"):
        _check(spec, age=_replace(ages, 0.01, [500.0]))


def test_limits_of_a_feature_replace_those_of_all(spec: FeatureSpec) -> None:
    own = {**LIMITS, "features": {"sku": {"new_values": 0.5}, "shopper": {"new_values": 1}}}
    skus = _replace(_columns(1)["sku"], 0.3, ["sku-new"])

    with pytest.raises(UserError, match="sku: The Linfty distance"):
        _check(spec, limits=own, sku=skus)
    own["features"]["sku"]["drift"] = 1
    _check(spec, limits=own, sku=skus)


def test_limits_of_an_unknown_feature_are_an_error(spec: FeatureSpec) -> None:
    limits = validate(ValidationLimits, {"features": {"colour": {"missing": 0.1}}})

    with pytest.raises(UserError, match=r"validation\.features\.colour: no such feature; known: s"):
        limits_of(raw_schema(spec), limits, spec)


def test_a_label_may_never_be_missing(spec: FeatureSpec) -> None:
    limited = limits_of(raw_schema(spec), ValidationLimits(missing=1), spec)

    presence = {column.name: column.presence.min_fraction for column in limited.feature}
    assert presence["rating"] == presence["at"] == 1
    assert presence["age"] == presence["recent"] == 0
