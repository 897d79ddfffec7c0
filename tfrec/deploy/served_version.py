"""What of an exported version decides how a server can be configured for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tfrec.errors import UserError
from tfrec.serving.op_audit import foreign_ops, servers_of

Signatures = Mapping[str, meta_graph_pb2.SignatureDef]


class Batchable(NamedTuple):
    """How the signatures of a version take to being batched.

    Attributes:
      batched: names of those whose inputs and outputs all have rows.
      alike: of these, those whose rows vary in length: requests in one batch need the same length.
      refused: names of those that have a single value among their inputs or outputs.
    """

    batched: tuple[str, ...]
    alike: tuple[str, ...]
    refused: tuple[str, ...]


def check_server(version: Path, server: str, twin: Path | None = None) -> None:
    """Checks that a server has the operations that a version needs.

    Args:
      version: its directory.
      server: `tensorflow_serving` or `tfrec`.
      twin: the same in TensorFlow's own operations, where there is one.

    Raises:
      UserError: naming the operations, and what to render instead.
    """
    foreign = foreign_ops(version)
    capable = servers_of(foreign)
    if server in capable:
        return
    ways = [f"render its twin, {twin}"] if twin else []
    ways += [f"give --server {other}" for other in capable]
    if not twin:
        ways.append("export it with index.runs_on: tensorflow_serving")
    raise UserError(
        f"{version}: needs {', '.join(foreign)}, which {server} lacks and would only notice at the "
        f"first search; {', or '.join(ways)}"
    )


def batchable(version: Path) -> Batchable:
    """Sorts the signatures of a version by whether a server can batch them.

    Args:
      version: its directory.
    """
    batched, alike, refused = [], [], []
    for name, signature in sorted(_signatures(version).items()):
        inputs, outputs = ([t.tensor_shape for t in side.values()] for side in _sides(signature))
        if not all(shape.dim for shape in inputs + outputs):
            refused.append(name)
            continue
        batched.append(name)
        if any(dim.size < 0 for shape in inputs for dim in shape.dim[1:]):
            alike.append(name)
    return Batchable(tuple(batched), tuple(alike), tuple(refused))


def _signatures(version: Path) -> Signatures:
    proto = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    signatures = proto.meta_graphs[0].signature_def
    return {name: signature for name, signature in signatures.items() if signature.inputs}


def _sides(signature: meta_graph_pb2.SignatureDef) -> tuple[Mapping, Mapping]:
    return signature.inputs, signature.outputs
