import math

import tensorflow as tf

from tfrec.features import FeatureSpec
from tfrec.features.signature import raw_inputs, sparse_inputs


def test_inputs_have_the_shapes_of_their_kinds(spec: FeatureSpec) -> None:
    names = ["shopper", "recent_skus", "tags", "price", "age", "title", "image"]

    assert raw_inputs(spec, names) == {
        "shopper": tf.TensorSpec([None], tf.string, "shopper"),
        "recent_skus": tf.TensorSpec([None, None], tf.string, "recent_skus"),
        "tags": tf.TensorSpec([None, None], tf.string, "tags"),
        "price": tf.TensorSpec([None], tf.float32, "price"),
        "age": tf.TensorSpec([None], tf.float32, "age"),
        "title": tf.TensorSpec([None], tf.string, "title"),
        "image": tf.TensorSpec([None, 3], tf.float32, "image"),
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


def test_number_that_is_not_finite_is_absent() -> None:
    prices = tf.constant([1.5, math.nan, math.inf, 0.0, -math.inf])

    sparse = sparse_inputs({"price": prices})["price"]

    assert sparse.dense_shape.numpy().tolist() == [5, 1]
    assert sparse.values.numpy().tolist() == [1.5, 0.0]
    assert sparse.indices.numpy().tolist() == [[0, 0], [3, 0]]


def test_moment_is_always_there_and_a_vector_stays_dense() -> None:
    columns = sparse_inputs({"at": tf.constant([0, 7], tf.int64), "image": tf.zeros([2, 3])})

    assert columns["at"].values.numpy().tolist() == [0, 7]
    assert columns["image"].shape == [2, 3]


def test_batch_of_no_rows_stays_one() -> None:
    sparse = sparse_inputs({"price": tf.zeros([0]), "recent": tf.zeros([0, 0], tf.string)})

    assert sparse["price"].dense_shape.numpy().tolist() == [0, 1]
    assert sparse["recent"].dense_shape.numpy().tolist() == [0, 0]
