from typing import Any

import pytest
import tensorflow as tf
from every_kind import ROWS, Fitted

from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, parsing_spec


def example(rows: dict[str, list[list[Any]]], number: int) -> bytes:
    """One transformed row as an Example, as preparation encodes it."""
    features = {ITEM_ROW: _feature([number])}
    features |= {name: _feature(values[number]) for name, values in rows.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _feature(values: list[Any]) -> tf.train.Feature:
    if any(isinstance(value, float) for value in values):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


@pytest.fixture(scope="module")
def parsed(spec: FeatureSpec, fitted: Fitted) -> dict[str, tf.Tensor | tf.RaggedTensor]:
    examples = [example(fitted.rows, number) for number in range(len(ROWS["sku"]))]
    return tf.io.parse_example(examples, parsing_spec(spec, list(spec.root)))


@pytest.mark.parametrize("name", list(ROWS))
def test_transformed_rows_are_parsed_as_they_were(
    name: str, parsed: dict[str, tf.Tensor | tf.RaggedTensor], fitted: Fitted
) -> None:
    column = parsed[name]

    if isinstance(column, tf.RaggedTensor):
        assert column.to_list() == fitted.rows[name]
    else:
        assert tf.reshape(column, [12, -1]).numpy().tolist() == fitted.rows[name]


def test_kinds_of_several_values_are_ragged_and_vectors_have_their_width(
    parsed: dict[str, tf.Tensor | tf.RaggedTensor],
) -> None:
    ragged = {name for name, column in parsed.items() if isinstance(column, tf.RaggedTensor)}

    assert ragged == {"recent_skus", "recent_brands", "tags", "colours", "title"}
    assert parsed["image"].shape == [12, 3]
    assert parsed["age"].dtype == parsed["at"].dtype == tf.int64
    assert parsed["price"].dtype == parsed["bought"].dtype == tf.float32


def test_item_row_is_always_parsed_and_only_named_features_are(spec: FeatureSpec) -> None:
    assert list(parsing_spec(spec, [])) == [ITEM_ROW]
    assert sorted(parsing_spec(spec, ["sku", "title"])) == [ITEM_ROW, "sku", "title"]
