import tensorflow as tf

from tfrec.features import FeatureSpec
from tfrec.features.signature import raw_inputs, sparse_inputs


def test_inputs_are_strings_one_for_a_category_and_a_row_for_a_sequence(spec: FeatureSpec) -> None:
    inputs = raw_inputs(spec, ["shopper", "recent"])

    assert inputs == {
        "shopper": tf.TensorSpec([None], tf.string, "shopper"),
        "recent": tf.TensorSpec([None, None], tf.string, "recent"),
    }


def test_padding_is_taken_out_of_sequences() -> None:
    recent = tf.constant([["a", "b", ""], ["", "", ""], ["c", "", "d"]])

    sparse = sparse_inputs({"recent": recent})["recent"]

    assert sparse.values.numpy().tolist() == [b"a", b"b", b"c", b"d"]
    assert sparse.indices[:, 0].numpy().tolist() == [0, 0, 2, 2]


def test_empty_string_is_an_absent_category() -> None:
    sparse = sparse_inputs({"channel": tf.constant(["web", "", "app"])})["channel"]

    assert sparse.dense_shape.numpy().tolist() == [3, 1]
    assert sparse.values.numpy().tolist() == [b"web", b"app"]
    assert sparse.indices.numpy().tolist() == [[0, 0], [2, 0]]
