"""Joins requests that come at the same time into one run of the model's graph."""

import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from tfrec.serving.batching import BatchingParameters
from tfrec.serving.loaded_signature import LoadedSignature
from tfrec.serving.monitoring import observe_batch, observe_queuing
from tfrec.serving.names import PUT_ITEMS, REMOVE_ITEMS
from tfrec.serving.request_size import Size
from tfrec.serving.servable import Servable
from tfrec.serving.status import ServingError
from tfrec.serving.tensors import numpy_dtype


class Batcher:
    """The threads that run batches, shared by all models of a server."""

    def __init__(self, parameters: BatchingParameters) -> None:
        """Starts no thread before the first `wrap`."""
        self.parameters = parameters
        self._changed = threading.Condition()
        self._queues: deque[_Queue] = deque()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def wrap(self, servable: Servable) -> "BatchedServable":
        """A servable that joins the runs of `servable`, and closes it when it is closed."""
        with self._changed:
            if not self._threads:
                self._threads = [
                    threading.Thread(target=self._work, name=f"batch-{number}", daemon=True)
                    for number in range(self.parameters.num_batch_threads)
                ]
                for thread in self._threads:
                    thread.start()
        return BatchedServable(servable, self)

    def close(self) -> None:
        """Ends the threads. Call it when no request runs any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def add(self, queues: Iterable["_Queue"]) -> None:
        """Takes batches from `queues`, too, from now on."""
        with self._changed:
            self._queues.extend(queues)

    def remove(self, queues: Iterable["_Queue"]) -> None:
        """Takes no more batches from `queues`, which have to be empty."""
        with self._changed:
            for queue in queues:
                self._queues.remove(queue)

    def enqueue(self, queue: "_Queue", request: "_Task") -> list["_Task"]:
        """Puts a request into the queue's batches.

        Returns:
          The tasks that together make the request; more than one if it had to be split.

        Raises:
          ServingError: if the request is too large, or the queue is full.
        """
        with self._changed:
            tasks = queue.put(request, time.monotonic())
            self._changed.notify(len(tasks))
        return tasks

    def _work(self) -> None:
        while True:
            with self._changed:
                while (taken := self._take()) is None:
                    if self._closed:
                        return
                    self._changed.wait(self._seconds_to_wait())
                # This thread's time may have been up just as it was told of another batch.
                self._changed.notify()
            queue, batch = taken
            queue.run(batch)

    def _take(self) -> "tuple[_Queue, _Batch] | None":
        """The next batch that is ready, each queue in its turn."""
        now = time.monotonic()
        for _ in range(len(self._queues)):
            queue = self._queues[0]
            self._queues.rotate(-1)
            batch = queue.take(now)
            if batch is not None:
                return queue, batch
        return None

    def _seconds_to_wait(self) -> float | None:
        ready_at = min((queue.ready_at() for queue in self._queues), default=math.inf)
        return None if ready_at == math.inf else max(0.0, ready_at - time.monotonic())


class BatchedServable(Servable):
    """A servable whose concurrent runs of a whole signature become one.

    All inputs and outputs need the batch as their first dimension. A run that asks for some of a
    signature's outputs only, whose inputs are of a wrong type, or that changes the model's items,
    goes past the batches.
    """

    def __init__(self, servable: Servable, batcher: Batcher) -> None:
        """Takes over `servable`; see `Batcher.wrap`."""
        self.path = servable.path
        self.signatures = servable.signatures
        self.change = None
        self._servable = servable
        self._batcher = batcher
        self._queues = {
            id(signature): _Queue(servable, signature, batcher.parameters)
            for name, signature in self.signatures.items()
            if name not in (PUT_ITEMS, REMOVE_ITEMS)
        }
        batcher.add(self._queues.values())

    def run_now(
        self,
        signature: LoadedSignature,
        inputs: Mapping[str, np.ndarray],
        outputs: Iterable[str],
        timeout_seconds: float | None = None,
    ) -> dict[str, np.ndarray]:
        """As `Servable.run_now`.

        Raises:
          ServingError: if the inputs or outputs have no common batch dimension, the batches are
            full, the time is up before a batch was run, or the run of the batch failed.
        """
        outputs = tuple(outputs)
        queue = self._queues.get(id(signature))
        if queue is None or not queue.fits(inputs, outputs):
            return self._servable.run(signature, inputs, outputs, timeout_seconds)
        now = time.monotonic()
        deadline = math.inf if timeout_seconds is None else now + timeout_seconds
        request = _Task(inputs, _batch_size(inputs), now, deadline)
        tasks = self._batcher.enqueue(queue, request)
        pieces = [task.outputs.result() for task in tasks]
        if len(pieces) == 1:
            return {name: pieces[0][name] for name in outputs}
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in outputs}

    def expected_seconds(self, signature: LoadedSignature, size: Size) -> float:
        """Infinite: a run waits for its batch."""
        return math.inf

    def close(self) -> None:
        """Frees the model. Call it when no request runs on it any more."""
        self._batcher.remove(self._queues.values())
        self._servable.close()


@dataclass
class _Task:
    """Rows of one request, all or a part of them."""

    inputs: Mapping[str, np.ndarray]
    rows: int
    enqueued_at: float
    deadline: float
    outputs: Future = field(default_factory=Future)

    def split(self, sizes: Sequence[int]) -> list["_Task"]:
        ends = np.cumsum(sizes)
        return [
            _Task(
                {name: array[end - size : end] for name, array in self.inputs.items()},
                size,
                self.enqueued_at,
                self.deadline,
            )
            for size, end in zip(sizes, ends.tolist(), strict=True)
        ]


@dataclass
class _Batch:
    """Tasks that will be run together."""

    tasks: list[_Task] = field(default_factory=list)
    rows: int = 0
    opened_at: float = math.inf


class _Queue:
    """The batches of one signature of a servable that wait for a thread; the last one is open.

    `put`, `take` and `ready_at` are called under the batcher's lock.
    """

    def __init__(
        self,
        servable: Servable,
        signature: LoadedSignature,
        parameters: BatchingParameters,
    ) -> None:
        self._servable = servable
        self._signature = signature
        self._outputs = sorted(signature.outputs)
        self._dtypes = {name: numpy_dtype(info.dtype) for name, info in signature.inputs.items()}
        self._parameters = parameters
        self._batches = deque([_Batch()])

    def fits(self, inputs: Mapping[str, np.ndarray], outputs: Iterable[str]) -> bool:
        """Whether a run is one of the whole signature, with inputs of its types."""
        return sorted(outputs) == self._outputs and all(
            array.dtype == self._dtypes[name] for name, array in inputs.items()
        )

    def put(self, request: _Task, now: float) -> list[_Task]:
        self._check_room(request.rows)
        tasks = self._split(request)
        for task in tasks:
            if self._batches[-1].rows + task.rows > self._parameters.batch_rows:
                self._batches.append(_Batch())
            batch = self._batches[-1]
            if not batch.tasks:
                batch.opened_at = now
            batch.tasks.append(task)
            batch.rows += task.rows
        return tasks

    def take(self, now: float) -> _Batch | None:
        """The first batch, if it is closed, full or has waited long enough."""
        if self.ready_at() > now:
            return None
        if len(self._batches) == 1:
            self._batches.append(_Batch())
        return self._batches.popleft()

    def ready_at(self) -> float:
        """When there will be a batch to take, if nothing is put into the queue before."""
        first = self._batches[0]
        if len(self._batches) > 1 or first.rows >= self._parameters.batch_rows:
            return -math.inf
        return first.opened_at + self._parameters.batch_timeout_micros / 1e6

    def run(self, batch: _Batch) -> None:
        """Runs the graph on a batch and hands each task its part."""
        try:
            parts = self._run(batch)
        except Exception as error:
            for task in batch.tasks:
                task.outputs.set_exception(_copy(error))
            return
        for task, part in zip(batch.tasks, parts, strict=True):
            task.outputs.set_result(part)

    def _check_room(self, rows: int) -> None:
        parameters, open_rows = self._parameters, self._batches[-1].rows
        if rows > parameters.max_batch_size:
            raise ServingError(
                "INVALID_ARGUMENT",
                f"Task size {rows} is larger than maximum input batch size"
                f" {parameters.max_batch_size}",
            )
        waiting, most = len(self._batches), max(parameters.max_enqueued_batches, 1)
        full = "The batch scheduling queue to which this task was submitted is full; "
        if not parameters.enable_large_batch_splitting:
            if open_rows + rows > parameters.max_batch_size and waiting >= most:
                raise ServingError(
                    "UNAVAILABLE",
                    f"{full}currently {waiting} batches enqueued and max_enqueued_batches is"
                    f" {most}",
                )
            return
        room = (most - waiting) * parameters.batch_rows + parameters.batch_rows - open_rows
        if rows > room:
            raise ServingError(
                "UNAVAILABLE",
                f"{full}task size is {rows} but scheduling capacity is only {room}"
                f" (num_enqueued_batches={waiting}, max_enqueued_batches={most},"
                f" open_batch_size={open_rows}, max_execution_batch_size={parameters.batch_rows})",
            )

    def _split(self, request: _Task) -> list[_Task]:
        most = self._parameters.batch_rows
        room = most - self._batches[-1].rows
        if request.rows <= room or not self._parameters.enable_large_batch_splitting:
            return [request]
        whole, rest = divmod(request.rows - room, most)
        sizes = [room, *[most] * whole, rest]
        return request.split([size for size in sizes if size])

    def _run(self, batch: _Batch) -> list[dict[str, np.ndarray]]:
        now = time.monotonic()
        for task in batch.tasks:
            observe_queuing(self._parameters.thread_pool_name, now - task.enqueued_at)
        deadline = max(task.deadline for task in batch.tasks)
        if deadline <= now:
            raise ServingError(
                "RESOURCE_EXHAUSTED", "Run() timeout exceeded while waiting in batching queue"
            )
        rows = self._allowed(batch.rows)
        observe_batch(rows, rows - batch.rows)
        joined = {
            name: self._join(name, [task.inputs[name] for task in batch.tasks], rows - batch.rows)
            for name in batch.tasks[0].inputs
        }
        timeout = None if deadline == math.inf else deadline - now
        values = self._servable.run(self._signature, joined, self._outputs, timeout)
        for array in values.values():
            _check_output(array, rows)
        ends = np.cumsum([task.rows for task in batch.tasks]).tolist()
        return [
            {name: array[end - task.rows : end] for name, array in values.items()}
            for task, end in zip(batch.tasks, ends, strict=True)
        ]

    def _allowed(self, rows: int) -> int:
        if not rows:
            return rows
        larger = (size for size in self._parameters.allowed_batch_sizes if size >= rows)
        return next(larger, rows)

    def _join(self, name: str, arrays: list[np.ndarray], padding: int) -> np.ndarray:
        if len({array.shape[1:] for array in arrays}) > 1:
            if not self._parameters.pad_variable_length_inputs:
                raise ServingError(
                    "FAILED_PRECONDITION",
                    f"Tensors with name '{self._signature.inputs[name].name}' from different tasks"
                    " have different shapes and padding is turned off."
                    "Set pad_variable_length_inputs to true, or ensure that all tensors with the"
                    " same namehave equal dimensions starting with the first dim.",
                )
            arrays = _pad(arrays)
        if padding:
            arrays = [*arrays, np.repeat(arrays[-1][:1], padding, axis=0)]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _batch_size(inputs: Mapping[str, np.ndarray]) -> int:
    if not inputs:
        raise ServingError("INVALID_ARGUMENT", "Batching Run() must have at least one input tensor")
    if any(array.ndim == 0 for array in inputs.values()):
        raise ServingError(
            "INVALID_ARGUMENT", "Batching Run() input tensors must have at least one dimension"
        )
    sizes = {len(array) for array in inputs.values()}
    if len(sizes) > 1:
        raise ServingError(
            "INVALID_ARGUMENT", "Batching Run() input tensors must have equal 0th-dimension size"
        )
    return sizes.pop()


def _pad(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Fills every array up to the largest in each dimension but the first."""
    if len({array.ndim for array in arrays}) > 1:
        raise ServingError(
            "INVALID_ARGUMENT", "Tensors of different ranks cannot be padded to one shape."
        )
    shape = np.max([array.shape[1:] for array in arrays], axis=0).tolist()
    return [_pad_one(array, shape) for array in arrays]


def _pad_one(array: np.ndarray, shape: list[int]) -> np.ndarray:
    padded = np.empty((len(array), *shape), array.dtype)
    if padded.size == array.size:
        return array.reshape(padded.shape)
    if not array.size:
        raise ServingError("INVALID_ARGUMENT", "Got empty tensor in batch of non-empty tensors.")
    padded[...] = array.flat[0]
    padded[tuple(slice(size) for size in array.shape)] = array
    return padded


def _check_output(array: np.ndarray, rows: int) -> None:
    if array.ndim == 0:
        raise ServingError("FAILED_PRECONDITION", "Batched output tensor has 0 dimensions")
    if len(array) != rows:
        raise ServingError(
            "FAILED_PRECONDITION",
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension"
            " sizes of the input tensors",
        )


def _copy(error: Exception) -> Exception:
    """Each request raises an error of its own: tracebacks grow where an error is raised."""
    if isinstance(error, ServingError):
        return ServingError(error.code, error.message)
    return error
