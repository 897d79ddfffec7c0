"""Which servers can load a SavedModel."""

import itertools
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

TENSORFLOW_SERVING, TFREC = "tensorflow_serving", "tfrec"
_SCANN = "Scann>"


def foreign_ops(saved_model: Path) -> list[str]:
    """Names the operations of a SavedModel that are not TensorFlow's own.

    Args:
      saved_model: its directory.

    Returns:
      Their names, sorted; none where any TensorFlow Serving can run it.
    """
    proto = saved_model_pb2.SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())
    names = set()
    for graph in (meta.graph_def for meta in proto.meta_graphs):
        functions = {function.signature.name: function for function in graph.library.function}
        bodies = (function.node_def for function in functions.values())
        nodes = itertools.chain(graph.node, *bodies)
        names |= {node.op for node in nodes} - functions.keys()
    return sorted(name for name in names if not hasattr(tf.raw_ops, name))


def servers_of(foreign: list[str]) -> list[str]:
    """Names the servers that can run a SavedModel with some foreign operations.

    A server that lacks one loads the SavedModel all the same, and fails at the first request.
    """
    if not foreign:
        return [TENSORFLOW_SERVING, TFREC]
    return [TFREC] if all(name.startswith(_SCANN) for name in foreign) else []
