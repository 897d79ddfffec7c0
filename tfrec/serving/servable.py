"""One loaded version of a SavedModel."""

import importlib
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, saved_model_pb2
from tensorflow.python.client import pywrap_tf_session

from tfrec.serving.loaded_signature import LoadedSignature
from tfrec.serving.names import PUT_ITEMS, REMOVE_ITEMS
from tfrec.serving.request_size import Size, request_size
from tfrec.serving.status import ServingError
from tfrec.serving.unbounded import unbounded_tensors

SMALL_BYTES = 4096
"""The size of requests of which the last ones tell how long their run will take."""
AT_ONCE_SECONDS = 0.0002
"""A run that takes no longer may hold up all others: to give it to a thread takes as long."""

# A run that takes less than this is not worth the way to another thread and back. One for many rows
# is, sooner: threads can share the rows.
_QUICK_SECONDS = 0.002
_MANY_ROWS = 16
_TRUST = 0.1
# Clients choose the sizes, and must not fill the memory with them.
_MOST_SIZES = 4096


class Servable:
    """A SavedModel version in a session of its own. Any number of threads may run it at once.

    Attributes:
      path: the version's directory.
      signatures: its signatures by name.
      change: makes the runs that change the model's items, where somebody has to know of them:
        takes the signature's name, inputs, outputs and time-out, as `run` does.
    """

    def __init__(
        self,
        path: Path,
        session: tf.compat.v1.Session,
        meta_graph: meta_graph_pb2.MetaGraphDef,
    ) -> None:
        """Takes over a session that holds the restored model; see `load`."""
        self.path = path
        self.signatures = {
            name: LoadedSignature.of(proto) for name, proto in meta_graph.signature_def.items()
        }
        self.change: Callable[..., dict[str, np.ndarray]] | None = None
        self._session = session
        self._handles: dict[str, object] = {}
        self._unbounded = unbounded_tensors(meta_graph)
        self._seconds: dict[Size, dict[str, float]] = {}

    @classmethod
    def load(cls, path: Path) -> "Servable":
        """Loads the graph, the variables and the assets of a version directory.

        Args:
          path: a directory that holds `saved_model.pb`.

        Returns:
          A servable that is ready to run.

        Raises:
          ServingError: if a file is missing or damaged, or the graph needs an unknown op.
        """
        ops = _check_files(path)
        if any(op.startswith("Scann>") for op in ops):
            _register_scann(path)
        session = tf.compat.v1.Session(graph=tf.Graph())
        try:
            with session.graph.as_default():
                meta_graph = tf.compat.v1.saved_model.loader.load(
                    session, [tf.saved_model.SERVING], str(path)
                )
            _prepare(session)
        except tf.errors.OpError as error:
            session.close()
            raise _serving_error(error, f"{path}: ") from error
        except (OSError, RuntimeError, ValueError) as error:
            session.close()
            raise ServingError("INVALID_ARGUMENT", f"{path}: {error}") from error
        return cls(path, session, meta_graph)

    def run(
        self,
        signature: LoadedSignature,
        inputs: Mapping[str, np.ndarray],
        outputs: Iterable[str],
        timeout_seconds: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Runs the part of the graph that `outputs` need.

        Args:
          signature: one of `signatures`.
          inputs: an array for each of the signature's inputs; strings as object arrays of bytes.
          outputs: names of the signature's outputs.
          timeout_seconds: the run is stopped after this time; None sets no limit.

        Returns:
          An array for each name in `outputs`, in their order.

        Raises:
          ServingError: with the status that the graph's execution ended in.
        """
        if self.change is not None and (name := self._changing(signature)):
            return self.change(name, inputs, outputs, timeout_seconds)
        return self.run_now(signature, inputs, outputs, timeout_seconds)

    def expected_seconds(self, signature: LoadedSignature, size: Size) -> float:
        """How long a run of a size takes, by the last ones; infinite where these do not tell."""
        if self._changing(signature):
            return math.inf
        return self._expected([info.name for info in signature.outputs.values()], size)

    def run_now(
        self,
        signature: LoadedSignature,
        inputs: Mapping[str, np.ndarray],
        outputs: Iterable[str],
        timeout_seconds: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Does what `run` does, and tells nobody.

        What has taken little time lately, on inputs of this size, and has no loops, runs in the
        thread of the caller. It is not stopped there when the time is up.
        """
        outputs = list(outputs)
        feeds = {self._handle(signature.inputs[name].name): array for name, array in inputs.items()}
        tensors = [signature.outputs[name].name for name in outputs]
        fetches = [self._handle(tensor) for tensor in tensors]
        size = request_size(signature, inputs)
        rows = next((len(array) for array in inputs.values() if array.ndim), 1)
        quick = _QUICK_SECONDS if rows < _MANY_ROWS else AT_ONCE_SECONDS
        # Here, waits of this thread for its turn can be told from what the run takes.
        here = self._expected(tensors, size) < quick
        run, clock = (_run_here, time.thread_time) if here else (_run, time.perf_counter)
        started = clock()
        try:
            values = run(self._session, feeds, fetches, timeout_seconds)
        except tf.errors.OpError as error:
            raise _serving_error(error) from error
        self._learn(tensors, size, clock() - started)
        return dict(zip(outputs, values, strict=True))

    def close(self) -> None:
        """Frees the model. Call it when no request runs on it any more."""
        self._session.close()

    def _changing(self, signature: LoadedSignature) -> str:
        """The name of a signature that changes items; empty for any other."""
        for name in (PUT_ITEMS, REMOVE_ITEMS):
            if signature is self.signatures.get(name):
                return name
        return ""

    def _expected(self, tensors: Sequence[str], size: Size) -> float:
        known = self._seconds.get(size)
        if known is None:
            return math.inf
        return max([known.get(tensor, math.inf) for tensor in tensors], default=math.inf)

    def _learn(self, tensors: Sequence[str], size: Size, seconds: float) -> None:
        """Follows a faster run at once, and a slower one, which may have waited its turn, less."""
        if not self._unbounded.isdisjoint(tensors):
            return
        if size not in self._seconds and len(self._seconds) >= _MOST_SIZES:
            self._seconds.clear()
        known = self._seconds.setdefault(size, {})
        for tensor in tensors:
            last = known.get(tensor, seconds)
            known[tensor] = min(seconds, last + (seconds - last) * _TRUST)

    def _handle(self, tensor: str) -> object:
        handle = self._handles.get(tensor)
        if handle is None:
            handle = self._handles[tensor] = _find_handle(self._session, tensor)
        return handle


# A call without a deadline is reported as one that has centuries left.
_MAX_TIMEOUT_MS = 2**31 - 1
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


def _serving_error(error: tf.errors.OpError, prefix: str = "") -> ServingError:
    return ServingError(_CODES.get(error.error_code, "UNKNOWN"), f"{prefix}{error.message}")


def _check_files(path: Path) -> set[str]:
    """Names the ops of the graph, once every file that a half-written directory lacks is there."""
    graph_file = path / "saved_model.pb"
    if not graph_file.is_file():
        raise _missing(graph_file)
    try:
        saved_model = saved_model_pb2.SavedModel.FromString(graph_file.read_bytes())
    except DecodeError as error:
        raise ServingError(
            "DATA_LOSS", f"{graph_file}: cut short or no SavedModel; write the directory anew"
        ) from error
    graphs = [meta_graph.graph_def for meta_graph in saved_model.meta_graphs]
    functions = (graph.library.function for graph in graphs)
    ops = {node.op for graph in graphs for node in graph.node}
    variables = path / "variables" / "variables.index"
    if ops & {"VarHandleOp", "VariableV2"} and not variables.is_file():
        raise _missing(variables)
    return ops.union(node.op for function in chain(*functions) for node in function.node_def)


def _missing(file: Path) -> ServingError:
    return ServingError(
        "NOT_FOUND",
        f"{file} is missing; write a version under another name and rename it once it is complete",
    )


def _register_scann(path: Path) -> None:
    """ScaNN's ops exist in this process once its package has been imported."""
    try:
        importlib.import_module("scann")
    except ImportError as error:
        raise ServingError(
            "FAILED_PRECONDITION", f"{path}: uses the ops of ScaNN; `pip install scann` here"
        ) from error


# The public `Session.run` and `Session.make_callable` spend three times as long on looking up
# fetches and feeds as the graph of a small model takes to run, so these functions, and no others,
# reach below them, to the call that both end in.


def _prepare(session: tf.compat.v1.Session) -> None:
    session._extend_graph()


def _find_handle(session: tf.compat.v1.Session, tensor: str) -> object:
    try:
        return session.graph.get_tensor_by_name(tensor)._as_tf_output()
    except (KeyError, ValueError) as error:
        raise ServingError(
            "INVALID_ARGUMENT",
            f"Tensor {tensor}, specified in either feed_devices or fetch_devices was not found"
            " in the Graph",
        ) from error


def _run(
    session: tf.compat.v1.Session, feeds: dict, fetches: list, timeout_seconds: float | None
) -> list[np.ndarray]:
    if timeout_seconds is None:
        return session._call_tf_sessionrun(None, feeds, fetches, [], None)
    milliseconds = min(max(1, int(timeout_seconds * 1000)), _MAX_TIMEOUT_MS)
    options = config_pb2.RunOptions(timeout_in_ms=milliseconds)
    buffer = _options_buffer(options)
    try:
        return session._call_tf_sessionrun(buffer, feeds, fetches, [], None)
    finally:
        pywrap_tf_session.TF_DeleteBuffer(buffer)


def _run_here(
    session: tf.compat.v1.Session, feeds: dict, fetches: list, timeout_seconds: float | None
) -> list[np.ndarray]:
    """Runs in this thread, all operations one after the other."""
    return session._call_tf_sessionrun(_IN_THIS_THREAD, feeds, fetches, [], None)


def _options_buffer(options: config_pb2.RunOptions) -> object:
    return pywrap_tf_session.TF_NewBufferFromString(options.SerializeToString())


_IN_THIS_THREAD = _options_buffer(config_pb2.RunOptions(inter_op_thread_pool=-1))
