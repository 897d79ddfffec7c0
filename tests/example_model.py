"""A model that takes `tf.train.Example`s, with signatures to classify and regress, good and bad."""

from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

v1 = tf.compat.v1
CLASSIFY = tf.saved_model.CLASSIFY_METHOD_NAME
REGRESS = tf.saved_model.REGRESS_METHOD_NAME


def write_example_model(path: Path) -> Path:
    """Writes it to `path`: from the features `x` and `name`, `y = x / 2 + 2`."""
    with tf.Graph().as_default(), v1.Session() as session:
        examples = v1.placeholder(tf.string, [None], name="examples")
        others = v1.placeholder(tf.string, [None], name="others")
        spec = {
            "x": tf.io.FixedLenFeature([], tf.float32),
            "name": tf.io.FixedLenFeature([], tf.string, default_value="nobody"),
        }
        features = tf.io.parse_example(examples, spec)
        y = features["x"] * v1.get_variable("half", initializer=0.5) + 2.0
        scores = tf.stack([y, -y], axis=1)
        classes = tf.stack([features["name"], tf.strings.join(["not ", features["name"]])], axis=1)
        other = tf.io.parse_example(others, spec)["x"]
        one = {"inputs": examples}
        signatures = {
            "serving_default": _signature(one, {"outputs": y}, REGRESS),
            "classify": _signature(one, {"classes": classes, "scores": scores}, CLASSIFY),
            "scores": _signature(one, {"scores": scores}, CLASSIFY),
            "classes": _signature(one, {"classes": classes}, CLASSIFY),
            "column": _signature(one, {"outputs": y[:, tf.newaxis]}, REGRESS),
            "other_input": _signature({"inputs": others}, {"outputs": other}, REGRESS),
            "misnamed_input": _signature({"examples": examples}, {"outputs": y}, REGRESS),
            "misnamed_output": _signature(one, {"y": y}, REGRESS),
            "two_inputs": _signature({"inputs": examples, "more": others}, {"y": y}, REGRESS),
            "three_outputs": _signature(one, {"a": y, "b": y, "c": y}, REGRESS),
            "flat_scores": _signature(one, {"scores": y}, CLASSIFY),
            "whole_scores": _signature(one, {"scores": tf.cast(scores, tf.int64)}, CLASSIFY),
            "short_scores": _signature(one, {"scores": scores[1:]}, CLASSIFY),
            "uneven": _signature(one, {"classes": classes, "scores": scores[:, :1]}, CLASSIFY),
            "wide": _signature(one, {"outputs": scores}, REGRESS),
            "short": _signature(one, {"outputs": y[1:]}, REGRESS),
            "whole": _signature(one, {"outputs": tf.cast(y, tf.int64)}, REGRESS),
        }
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(
            session, [tf.saved_model.SERVING], signature_def_map=signatures
        )
        builder.save()
    return path


def _signature(
    inputs: Mapping[str, tf.Tensor], outputs: Mapping[str, tf.Tensor], method_name: str
) -> object:
    def infos(tensors: Mapping[str, tf.Tensor]) -> dict:
        build = v1.saved_model.build_tensor_info
        return {alias: build(tensor) for alias, tensor in tensors.items()}

    return v1.saved_model.build_signature_def(infos(inputs), infos(outputs), method_name)
