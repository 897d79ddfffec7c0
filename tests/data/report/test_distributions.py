import numpy as np
import pyarrow as pa
import pytest

from tfrec.config import validate
from tfrec.data.report.distributions import Numbers, number_distributions
from tfrec.features import FeatureSpec

FLOATS = pa.list_(pa.float32())


@pytest.fixture(scope="module")
def numeric_spec() -> FeatureSpec:
    content = {
        "sku": {"role": "item", "kind": "categorical", "embedding": 2},
        "price": {"role": "item", "kind": "numeric"},
        "image": {"role": "item", "kind": "vector", "dim": 2},
        "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 3},
    }
    return validate(FeatureSpec, content, "features")


def measure(spec: FeatureSpec, *parts: list[float | None]) -> Numbers:
    samples = {
        name: pa.table(
            {
                "sku": pa.array(["a"] * len(prices), pa.string()),
                "price": pa.array(prices, pa.float32()),
                "image": pa.array([[3.0, 4.0]] * len(prices), FLOATS),
                "recent": pa.array([["a", "b"]] * len(prices), pa.list_(pa.string())),
            }
        )
        for name, prices in zip(("train", "validation", "test"), parts, strict=True)
    }
    return number_distributions(spec, samples)["price"]


def test_numbers_are_described_without_the_missing(numeric_spec: FeatureSpec) -> None:
    numbers = measure(numeric_spec, [1, None, 4, 9], [2, 2], [None])

    assert numbers.missing.tolist() == [0.25, 0, 1]
    assert (numbers.least, numbers.median, numbers.most) == (1, 4, 9)
    assert np.isnan(numbers.shares[2]).all()
    assert numbers.shares[1].sum() == pytest.approx(1)


def test_few_whole_numbers_have_a_bin_each(numeric_spec: FeatureSpec) -> None:
    numbers = measure(numeric_spec, [1, 2, 2, 3], [3], [1])

    assert numbers.edges.tolist() == [0.5, 1.5, 2.5, 3.5]
    assert numbers.shares[0].tolist() == [0.25, 0.5, 0.25]


@pytest.mark.parametrize("train", [[7.5, 7.5], [None, None], []])
def test_constant_and_absent_numbers_have_one_bin(
    numeric_spec: FeatureSpec, train: list[float | None]
) -> None:
    numbers = measure(numeric_spec, train, [], [])

    assert numbers.shares.shape == (3, 1)
    assert np.isnan(numbers.shares[1:]).all()


def test_outliers_do_not_squeeze_the_histogram(numeric_spec: FeatureSpec) -> None:
    numbers = measure(numeric_spec, [*np.linspace(0, 1, 1000), 1e9], [], [])

    assert numbers.most == 1e9
    assert numbers.edges[-1] < 1.01


def test_vectors_and_sequences_are_measured_by_length(numeric_spec: FeatureSpec) -> None:
    table = pa.table(
        {
            "sku": ["a", "b", "c"],
            "price": pa.array([1, 2, 3], pa.float32()),
            "image": pa.array([[3, 4], None, [0, 1]], FLOATS),
            "recent": [["a", "b", "c"], [], ["b"]],
        }
    )
    samples = dict.fromkeys(("train", "validation", "test"), table)

    found = number_distributions(numeric_spec, samples)

    assert (found["image"].least, found["image"].most) == (1, 5)
    assert (found["recent"].least, found["recent"].most) == (1, 3)
    assert found["recent"].missing.tolist() == pytest.approx([1 / 3] * 3)
    assert (found["image"].measure, found["price"].measure) == ("Euclidean length", "")
