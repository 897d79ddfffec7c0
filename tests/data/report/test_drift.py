import math

import numpy as np
import pyarrow as pa
import pytest

from tfrec.config import validate
from tfrec.data.report.drift import THRESHOLD, Distance, measure_drift
from tfrec.features import FeatureSpec

ROWS = 4000


@pytest.fixture(scope="module")
def drifting_spec() -> FeatureSpec:
    content = {
        "sku": {"role": "item", "kind": "categorical", "embedding": 2},
        "colour": {"role": "item", "kind": "categorical", "embedding": 2},
        "price": {"role": "item", "kind": "numeric"},
        "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 3},
    }
    return validate(FeatureSpec, content, "features")


def sample(seed: int, red: float = 0.5, price: float = 0.0, rows: int = ROWS) -> pa.Table:
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "sku": random.integers(2000, size=rows).astype(str),
            "colour": pa.array(["red"] * round(red * rows) + ["blue"] * round((1 - red) * rows)),
            "price": pa.array(random.normal(price, 1, rows), pa.float32()),
            "recent": pa.array([["1"]] * rows, pa.list_(pa.string())),
        }
    )


def divergence(p: list[float], q: list[float]) -> float:
    """Jensen-Shannon divergence in bits, from its definition."""
    middle = [(one + other) / 2 for one, other in zip(p, q, strict=True)]
    pairs = [pair for part in (p, q) for pair in zip(part, middle, strict=True)]
    return sum(share * math.log2(share / m) for share, m in pairs if share) / 2


def test_distances_are_those_of_the_definition(drifting_spec: FeatureSpec) -> None:
    train = pa.concat_tables([sample(0), sample(1)])
    parts = {"validation": sample(2), "test": sample(3, red=0.9)}

    colour = {d.name: d for d in measure_drift(drifting_spec, train, parts, seed=0)}["colour"]

    test = colour.distances["test"]
    assert test.l_infinity == pytest.approx(0.4, abs=0.02)
    assert test.jensen_shannon == pytest.approx(divergence([0.5, 0.5], [0.9, 0.1]), abs=0.02)
    assert colour.distances["validation"].jensen_shannon < 0.01
    assert test.is_flagged
    assert not colour.distances["validation"].is_flagged


def test_what_drifts_most_comes_first_and_sequences_are_left_out(
    drifting_spec: FeatureSpec,
) -> None:
    train = pa.concat_tables([sample(0), sample(1)])
    parts = {"validation": sample(2), "test": sample(3, price=3.0)}

    drifts = measure_drift(drifting_spec, train, parts, seed=0)

    assert drifts[0].name == "price"
    assert drifts[0].is_flagged
    assert drifts[0].distances["test"].l_infinity is None
    assert {drift.name for drift in drifts} == {"sku", "colour", "price"}


def test_rare_values_that_differ_by_chance_are_not_flagged(drifting_spec: FeatureSpec) -> None:
    train = pa.concat_tables([sample(0), sample(1)])

    drifts = measure_drift(drifting_spec, train, {"validation": sample(2), "test": sample(3)}, 0)

    sku = {drift.name: drift for drift in drifts}["sku"].distances["test"]
    assert sku.jensen_shannon > THRESHOLD
    assert sku.chance == pytest.approx(sku.jensen_shannon, rel=0.2)
    assert not any(drift.is_flagged for drift in drifts)


def test_empty_part_has_no_distance(drifting_spec: FeatureSpec) -> None:
    parts = {"validation": sample(2, rows=0), "test": sample(3)}

    drifts = measure_drift(drifting_spec, sample(0), parts, seed=0)

    assert {tuple(drift.distances) for drift in drifts} == {("test",)}


@pytest.mark.parametrize(
    ("l_infinity", "jensen_shannon", "chance", "flagged"),
    [
        (None, 0.05, 0.0, False), (None, 0.2, 0.05, True), (None, 0.2, 0.15, False),
        (0.15, 0.04, 0.01, True), (0.05, 0.04, 0.01, False),
    ],
)  # fmt: skip
def test_flag_needs_the_threshold_and_more_than_chance(
    l_infinity: float | None, jensen_shannon: float, chance: float, flagged: bool
) -> None:
    assert Distance(l_infinity, jensen_shannon, chance).is_flagged == flagged
