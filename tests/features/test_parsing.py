import tensorflow as tf

from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, parsing_spec


def example(**values: list[int]) -> bytes:
    features = {
        name: tf.train.Feature(int64_list=tf.train.Int64List(value=value))
        for name, value in values.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def test_examples_are_parsed_to_scalars_and_ragged_sequences(spec: FeatureSpec) -> None:
    examples = [
        example(**{ITEM_ROW: [7]}, sku=[3], recent=[1, 2], channel=[0]),
        example(**{ITEM_ROW: [8]}, sku=[4], recent=[], channel=[1]),
    ]

    parsed = tf.io.parse_example(examples, parsing_spec(spec, ["sku", "recent"]))

    assert sorted(parsed) == [ITEM_ROW, "recent", "sku"]
    assert parsed[ITEM_ROW].numpy().tolist() == [7, 8]
    assert parsed["sku"].numpy().tolist() == [3, 4]
    assert parsed["recent"].to_list() == [[1, 2], []]


def test_item_row_is_always_parsed(spec: FeatureSpec) -> None:
    assert list(parsing_spec(spec, [])) == [ITEM_ROW]
