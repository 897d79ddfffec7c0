"""Metrics under TensorFlow Serving's names, as Prometheus reads them.

They count what this process serves, since its start. A request costs a few additions; the text is
made when it is asked for.
"""

import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from tfrec.serving.config_protos import MonitoringConfig, read_text_proto

DEFAULT_PATH = "/monitoring/prometheus/metrics"
REGISTRY = CollectorRegistry()

ResultT = TypeVar("ResultT")


def read_monitoring_config(path: Path) -> str | None:
    """Reads a file that holds a MonitoringConfig in protobuf's text form.

    Returns:
      The path of the REST port at which the metrics are due; None where they are not enabled.

    Raises:
      UserError: if the file cannot be read, or holds no such message.
    """
    config = read_text_proto(path, MonitoringConfig(), "monitoring_config_file").prometheus_config
    return (config.path or DEFAULT_PATH) if config.enable else None


def render_metrics() -> bytes:
    """All metrics in the text form of Prometheus, laid out as TensorFlow Serving lays them out."""
    lines = []
    for metric in REGISTRY.collect():
        lines.append(f"# TYPE {metric.name} {metric.type}\n")
        for sample in metric.samples:
            labels = ",".join(f'{name}="{_escape(text)}"' for name, text in sample.labels.items())
            lines.append(f"{sample.name}{{{labels}}} {sample.value}\n")
    return "".join(lines).encode("utf-8", "replace")


def count_request(model: str, status: str) -> None:
    """Counts a request that ended with a gRPC status, e.g. `OK`."""
    _REQUEST_COUNT.add((model[:_MAX_NAME], status))


def observe_request(model: str, api: str, entrypoint: str, seconds: float) -> None:
    """Notes how long a request took that was answered; `entrypoint` is GRPC or REST."""
    _REQUEST_LATENCY.observe((model, api, entrypoint), _microseconds(seconds))


def observe_run(model: str, api: str, run: Callable[..., ResultT], *arguments: object) -> ResultT:
    """Calls `run`, which runs a model's graph, and notes how long it took unless it failed."""
    started = time.perf_counter()
    result = run(*arguments)
    _RUNTIME_LATENCY.observe((model, api, "TF1"), _microseconds(time.perf_counter() - started))
    return result


def count_examples(model: str, count: int) -> None:
    """Counts the examples of a Classify, Regress or MultiInference request."""
    _EXAMPLE_COUNTS.observe((model,), count)
    _EXAMPLE_COUNT_TOTAL.add((model,), count)


def observe_warmup(model_path: Path, seconds: float) -> None:
    """Notes how long a version's warm-up took that succeeded."""
    _WARMUP_LATENCY.observe((str(model_path), "OK"), _microseconds(seconds))


def observe_load(model_path: Path, seconds: float | None) -> None:
    """Counts an attempt to load a version: how long it took, None where it failed."""
    _LOAD_ATTEMPTS.add((str(model_path), "fail" if seconds is None else "success"))
    if seconds is not None:
        _LOAD_LATENCY.add((str(model_path),), _microseconds(seconds))


def observe_queuing(thread_pool_name: str, seconds: float) -> None:
    """Notes how long a request waited to become part of a batch."""
    _QUEUING_LATENCY.observe((thread_pool_name,), _microseconds(seconds))


def observe_batch(size: int, padding: int) -> None:
    """Notes the rows of a batch, padding included, and how many of them are padding."""
    _BATCH_SIZE.observe((), size)
    _PADDING_SIZE.observe((str(size),), padding)


# Clients choose the names of models that are not there. What comes after so many is not counted.
_MAX_CELLS = 1000
_MAX_NAME = 200


class _Counter(Collector):
    """A number for each combination of label values."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        self._name = f":tensorflow:{name}"
        self._documentation = documentation
        self._labels = labels
        self._lock = threading.Lock()
        self._cells: dict[tuple[str, ...], int] = {}
        REGISTRY.register(self)

    def add(self, labels: tuple[str, ...], count: int = 1) -> None:
        with self._lock:
            if labels in self._cells or len(self._cells) < _MAX_CELLS:
                self._cells[labels] = self._cells.get(labels, 0) + count

    def collect(self) -> Iterable[Metric]:
        metric = Metric(self._name, self._documentation, "counter")
        with self._lock:
            cells = dict(self._cells)
        for labels, count in cells.items():
            metric.add_sample(self._name, dict(zip(self._labels, labels, strict=True)), count)
        return [metric]


class _Histogram(Collector):
    """Counts of values by size, for each combination of label values."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], limits: Sequence[float]
    ) -> None:
        self._name = f":tensorflow:{name}"
        self._documentation = documentation
        self._labels = labels
        self._limits = limits
        self._lock = threading.Lock()
        self._cells: dict[tuple[str, ...], list[int]] = {}
        REGISTRY.register(self)

    def observe(self, labels: tuple[str, ...], value: int) -> None:
        bucket = bisect_right(self._limits, value)
        with self._lock:
            cell = self._cells.get(labels)
            if cell is None:
                # A count for each limit, one for what is above them all, and the sum.
                cell = self._cells[labels] = [0] * (len(self._limits) + 2)
            cell[bucket] += 1
            cell[-1] += value

    def collect(self) -> Iterable[Metric]:
        metric = Metric(self._name, self._documentation, "histogram")
        with self._lock:
            cells = {labels: list(cell) for labels, cell in self._cells.items()}
        for values, (*counts, total) in cells.items():
            labels = dict(zip(self._labels, values, strict=True))
            below = 0
            for limit, count in zip(
                [*map("{:g}".format, self._limits), "+Inf"], counts, strict=True
            ):
                below += count
                metric.add_sample(f"{self._name}_bucket", {**labels, "le": limit}, below)
            metric.add_sample(f"{self._name}_sum", labels, total)
            metric.add_sample(f"{self._name}_count", labels, below)
        return [metric]


def _exponential(scale: float, growth: float, count: int) -> list[float]:
    return [scale * growth**power for power in range(count)]


def _microseconds(seconds: float) -> int:
    return int(seconds * 1_000_000)


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


_LATENCIES = _exponential(10, 1.8, 33)
_REQUEST_COUNT = _Counter(
    "serving:request_count", "The total number of requests.", ("model_name", "status")
)
_REQUEST_LATENCY = _Histogram(
    "serving:request_latency",
    "Wall time of requests in microseconds.",
    ("model_name", "API", "entrypoint"),
    _LATENCIES,
)
_RUNTIME_LATENCY = _Histogram(
    "serving:runtime_latency",
    "Wall time of model runs in microseconds.",
    ("model_name", "API", "runtime"),
    _LATENCIES,
)
_EXAMPLE_COUNTS = _Histogram(
    "serving:request_example_counts", "Examples of a request.", ("model",), _exponential(1, 2, 15)
)
_EXAMPLE_COUNT_TOTAL = _Counter(
    "serving:request_example_count_total", "The total number of examples.", ("model",)
)
_WARMUP_LATENCY = _Histogram(
    "serving:model_warmup_latency",
    "Wall time of warm-ups in microseconds.",
    ("model_path", "status"),
    _LATENCIES,
)
_LOAD_ATTEMPTS = _Counter(
    "cc:saved_model:load_attempt_count", "Attempts to load a version.", ("model_path", "status")
)
_LOAD_LATENCY = _Counter(
    "cc:saved_model:load_latency", "Microseconds spent on loading.", ("model_path",)
)
_QUEUING_LATENCY = _Histogram(
    "serving:batching_session:queuing_latency",
    "Wall time in the queue of batches in microseconds.",
    ("thread_pool_name",),
    _exponential(100, 1.2, 52),
)
_BATCH_SIZE = _Histogram(
    "serving:batching_session:processed_batch_size",
    "Rows of a batch.",
    (),
    _exponential(1, 2, 14),
)
_PADDING_SIZE = _Histogram(
    "serving:batching_session:padding_size",
    "Rows of padding in a batch.",
    ("execution_batch_size",),
    _exponential(1, 2, 14),
)
