from pathlib import Path

import pytest
import tensorflow as tf

from tfrec.config import validate
from tfrec.data.preprocessing import compile_preprocessing, preprocessing_digest
from tfrec.errors import UserError
from tfrec.features import FeatureSpec

SOURCE = """
import tensorflow as tf

def lower_sku(feature, values):
    return tf.strings.lower(values) if feature == "sku" else values

limit = 3
"""
HASHED = {"kind": "categorical", "embedding": 2, "lookup": "hash", "rows": 1000}


@pytest.fixture
def spec() -> FeatureSpec:
    features = {
        "shopper": {"role": "user", **HASHED},
        "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 3},
        "sku": {"role": "item", **HASHED},
    }
    return validate(FeatureSpec, features)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "of_shop.py"
    path.write_text(SOURCE)
    return path


def columns(shopper: str, recent: list[str], sku: str) -> dict[str, tf.SparseTensor]:
    values = {"shopper": [shopper], "recent": recent, "sku": [sku]}
    return {name: tf.sparse.from_dense([row]) for name, row in values.items()}


def as_plain(outputs: dict) -> dict[str, list[int]]:
    return {
        name: (column.values if isinstance(column, tf.SparseTensor) else column).numpy().tolist()
        for name, column in outputs.items()
    }


def test_raw_values_are_changed_in_the_feature_and_in_histories_of_it(
    spec: FeatureSpec, file: Path
) -> None:
    changed = compile_preprocessing(spec, f"{file}:lower_sku")
    plain = compile_preprocessing(spec, None)

    found = as_plain(changed(columns("Ann", ["TEA", "tea", "MILK"], "Milk")))

    assert found == as_plain(plain(columns("Ann", ["tea", "tea", "milk"], "milk")))
    assert found["recent"][0] == found["recent"][1]
    assert found["recent"][2] == found["sku"][0]


def test_an_edited_function_is_another_one(file: Path) -> None:
    before = preprocessing_digest(f"{file}:lower_sku")

    file.write_text(SOURCE.replace("lower(", "upper("))

    assert preprocessing_digest(f"{file}:lower_sku") != before
    assert preprocessing_digest(None) == {}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("limit", r"data\.preprocessing: '.+:limit' is no function"),
        ("missing", r"data\.preprocessing: '.+:missing' is no function"),
    ],
)
def test_what_is_no_function_is_refused(
    spec: FeatureSpec, file: Path, name: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        compile_preprocessing(spec, f"{file}:{name}")


def test_a_module_that_is_not_there_is_named(spec: FeatureSpec) -> None:
    with pytest.raises(UserError, match=r"data\.preprocessing: 'no\.such\.function': cannot be"):
        compile_preprocessing(spec, "no.such.function")
