from pathlib import Path

import pytest
import tensorflow as tf


class TinyModel(tf.Module):
    """Signatures of each sort: with rows alone, with lists of any length, with a single value."""

    def __init__(self) -> None:
        super().__init__()
        self.half = tf.Variable(0.5)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def halve(self, x):
        return {"y": self.half * x}

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.string, "names")])
    def count(self, names):
        return {"count": tf.math.count_nonzero(names != "", axis=1)}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.float32, "x"),
            tf.TensorSpec([], tf.int32, "k"),
        ]
    )
    def top(self, x, k):
        return {"y": x[:, tf.newaxis] + tf.zeros([k])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def total(self, x):
        return {"sum": tf.reduce_sum(x)}


@pytest.fixture(scope="session")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 3 of a model `shop`, in TensorFlow's own operations."""
    model = TinyModel()
    signatures = {
        "serving_default": model.halve,
        "count": model.count,
        "top": model.top,
        "total": model.total,
    }
    path = tmp_path_factory.mktemp("models") / "shop" / "3"
    tf.saved_model.save(model, str(path), signatures=signatures)
    return path
