"""What the service counts of itself, as Prometheus reads it.

The numbers are of this process, since its start. Whatever is a label comes from the config or the
code and never from a shopper; a metric that gets too many combinations of labels all the same
counts further ones as `other`.
"""

import math
import operator
import threading
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Generic, Literal, TypeVar

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from tfrec.service.api import Slate
from tfrec.service.coverage import Coverage
from tfrec.service.events import TYPES

OTHER = "other"
"""Label of what is not known, or too much."""

REGISTRY = CollectorRegistry()

BreakerState = Literal["closed", "half_open", "open"]
_BREAKER_STATES: tuple[BreakerState, ...] = ("closed", "half_open", "open")
_MOST_CELLS = 500
_MILLISECONDS = 1000

MetricT = TypeVar("MetricT", bound=MetricWrapperBase)


def render(accept: str | None = None) -> tuple[bytes, str]:
    """All metrics, for `/metrics`.

    Args:
      accept: the request's header of this name; OpenMetrics where it asks for that.

    Returns:
      The text, and its content type.
    """
    encode, content_type = choose_encoder(accept or "")
    return encode(_View()), content_type  # type: ignore[arg-type]


def observe_slate(slate: Slate, seconds: float) -> None:
    """Notes an answer, once for each request that got a slate, be it made or found.

    The request is counted as `ok`, or as `fallback` where something stood in. Steps are taken from
    the slate's timings, unless it is an answer of before; fallbacks are counted by what comes
    before the colon.

    Args:
      slate: the answer.
      seconds: from the request to the answer.
    """
    scenario = slate.scenario
    _REQUESTS(scenario, "fallback" if slate.fallbacks else "ok").inc()
    _REQUEST_SECONDS.observe(seconds, scenario)
    _SLATE_ITEMS.observe(len(slate.items), scenario)
    for fallback in slate.fallbacks:
        _FALLBACKS(fallback.partition(":")[0]).inc()
    if slate.emptied_by is not None:
        _EMPTY(slate.emptied_by.partition(":")[0]).inc()
    for model, version in slate.models.items():
        note_model(model, version)
    for source, count in Tally(item.source for item in slate.items).items():
        _SHOWN(scenario, source).inc(count)
    _COVERAGE.add(scenario, [item.id for item in slate.items])
    if not slate.cached:
        for step, milliseconds in slate.timings.items():
            _STEP_SECONDS.observe(milliseconds / _MILLISECONDS, scenario, step)


def count_refusal(scenario: str, status: str) -> None:
    """Counts a request that got no slate: it `failed`, or named an `unknown_item`, or the like."""
    _REQUESTS(scenario, status).inc()


def observe_http(route: str, method: str, status: int, seconds: float) -> None:
    """Notes an answer of the HTTP server.

    Args:
      route: template of the path, such as `/v1/users/{user}`, or `OTHER` where none matches.
      method: such as GET; those that no route takes are `OTHER`.
      status: HTTP's.
      seconds: from the request's head to the answer's.
    """
    _HTTP(route, method, str(status)).inc()
    _HTTP_SECONDS.observe(seconds, route)


def observe_candidates(source: str, count: int) -> None:
    """Notes how many candidates a source found for a request."""
    _CANDIDATES.observe(count, source)


def observe_scores(task: str, scores: np.ndarray) -> None:
    """Notes what a ranking model predicts.

    Args:
      task: of the model.
      scores: `[candidates]` float.
    """
    _SCORES.observe_all(scores, task)


def count_cache(cache: str, found: bool) -> None:
    """Counts a look into a cache, such as `memory` or `redis`."""
    _CACHE(cache, "hit" if found else "miss").inc()


def count_fallback(part: str) -> None:
    """Counts an answer that did without a part that no slate names: the guide's language model."""
    _FALLBACKS(part).inc()


def count_coalesced() -> None:
    """Counts a request that took the answer of an equal one under way."""
    _COALESCED.inc()


def set_breaker(part: str, state: BreakerState) -> None:
    """Notes what a part's breaker came to."""
    for one in _BREAKER_STATES:
        _BREAKERS(part, one).set(one == state)


def count_known(kind: Literal["user", "item"], known: int, unknown: int) -> None:
    """Counts the ids of a request that the service knows, and those that it does not."""
    _LOOKUPS(kind, "true").inc(known)
    _LOOKUPS(kind, "false").inc(unknown)


def count_event(event_type: object, verdict: str) -> None:
    """Counts an event that was sent; a type that there is not is counted as `other`."""
    known = isinstance(event_type, str) and event_type in TYPES
    _EVENTS(str(event_type) if known else OTHER, verdict).inc()


def count_outcome(experiment: str, arm: str, event_type: str, count: int = 1) -> None:
    """Counts what happened to what an arm showed: `impression`, `click`, `purchase`, or the like.

    Args:
      experiment: of the config; events bring what they like, so the caller checks it.
      arm: of the experiment.
      event_type: of the event.
      count: how many times.
    """
    _OUTCOMES(experiment, arm, event_type).inc(count)


def count_dropped_exposures(count: int) -> None:
    """Counts impressions that were not logged."""
    _DROPPED.inc(count)


def add_waiting_events(count: int) -> None:
    """Notes events that wait for the disk; with a count below 0, that they are written."""
    _WAITING.inc(count)


def set_store_behind(behind: bool) -> None:
    """Notes whether the feature store lacks events that the log has."""
    _BEHIND.set(behind)


def note_reload(succeeded: bool) -> None:
    """Notes that the experiments' file was read anew, or could not be."""
    _RELOADS("succeeded" if succeeded else "failed").inc()
    _RELOADED.set(succeeded)


def note_model(model: str, version: str) -> None:
    """Notes which version of a model answers now."""
    with _LOCK:
        before = _VERSIONS.get(model)
        if before == version:
            return
        _VERSIONS[model] = version
        if before is not None:
            _MODELS.remove(model, before)
        _MODELS.labels(model, version).set(1)


def set_catalogue(items: int) -> None:
    """Notes the size of the catalogue."""
    _CATALOGUE.set(items)


class _Cells(Generic[MetricT]):
    """The cells of a metric by their labels: a look into a dictionary is all that a count costs."""

    def __init__(self, metric: MetricT) -> None:
        self._metric = metric
        self._cells: dict[tuple[str, ...], MetricT] = {}

    def __call__(self, *labels: str) -> MetricT:
        return self._cells.get(labels) or self._add(labels)

    def _add(self, labels: tuple[str, ...]) -> MetricT:
        if len(self._cells) >= _MOST_CELLS:
            return self._metric.labels(*[OTHER] * len(labels))
        cell = self._cells[labels] = self._metric.labels(*labels)
        return cell


class _Coverage(Collector):
    """Different items that were shown lately, for each scenario."""

    def __init__(self) -> None:
        self._scenarios: dict[str, Coverage] = {}
        REGISTRY.register(self)

    def add(self, scenario: str, items: Sequence[str]) -> None:
        found = self._scenarios.get(scenario)
        if found is None:
            found = self._scenarios.setdefault(scenario, Coverage())
        found.add(items)

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "tfrec_gateway_shown_items",
            "Different items on the slates of the last hour or two.",
            labels=["scenario"],
        )
        for scenario, coverage in list(self._scenarios.items()):
            family.add_metric([scenario], coverage.count())
        return [family]


class _Histogram(Collector):
    """Counts of values by size, for each combination of labels.

    The library's own costs twice as much a value, and takes no arrays.
    """

    def __init__(
        self, name: str, documentation: str, limits: Sequence[float], *labels: str
    ) -> None:
        self._name, self._documentation = f"tfrec_gateway_{name}", documentation
        self._limits, self._labels = [*limits, math.inf], labels
        self._array = np.array(limits)
        self._lock = threading.Lock()
        self._cells: dict[tuple[str, ...], list[float]] = {}
        REGISTRY.register(self)

    def observe(self, value: float, *labels: str) -> None:
        bucket = bisect_left(self._limits, value)
        with self._lock:
            cell = self._cells.get(labels) or self._add(labels)
            cell[bucket] += 1
            cell[-1] += value

    def observe_all(self, values: np.ndarray, *labels: str) -> None:
        buckets = np.searchsorted(self._array, values)
        counts = np.bincount(buckets, minlength=len(self._limits)).tolist()
        with self._lock:
            cell = self._cells.get(labels) or self._add(labels)
            cell[:] = map(operator.add, cell, [*counts, float(values.sum())])

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        with self._lock:
            cells = {labels: list(cell) for labels, cell in self._cells.items()}
        names = [floatToGoString(limit) for limit in self._limits]
        for labels, (*counts, total) in cells.items():
            below = list(accumulate(counts))
            family.add_metric(labels, list(zip(names, below, strict=True)), total)
        return [family]

    def _add(self, labels: tuple[str, ...]) -> list[float]:
        if len(self._cells) >= _MOST_CELLS:
            labels = (OTHER,) * len(labels)
        # A count for each limit, and the sum.
        return self._cells.setdefault(labels, [0] * (len(self._limits) + 1))


class _View:
    """The registry without the times at which each count began, which nobody asks for."""

    def collect(self) -> Iterable[Metric]:
        for metric in REGISTRY.collect():
            metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
            yield metric


def _counter(name: str, documentation: str, *labels: str) -> Counter:
    return Counter(f"tfrec_gateway_{name}", documentation, labels, registry=REGISTRY)


def _gauge(name: str, documentation: str, *labels: str) -> Gauge:
    return Gauge(f"tfrec_gateway_{name}", documentation, labels, registry=REGISTRY)


_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_STEPS = (0.0001, 0.00025, *_SECONDS)
_COUNTS = (0, 5, 10, 20, 50, 100, 200, 500, 1000)
_PLACES = (0, 1, 2, 5, 10, 20, 50, 100)
# Most tasks predict chances; ratings and raw scores are wider.
_TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_SCORE_LIMITS = (-10, -3, -1, 0, 0.001, 0.003, 0.01, 0.03, *_TENTHS, 1, 2, 3, 4, 5, 10)

_LOCK = threading.Lock()
_VERSIONS: dict[str, str] = {}
_COVERAGE = _Coverage()
_PROCESS = ProcessCollector(registry=REGISTRY)

_REQUESTS = _Cells(_counter("requests", "Requests for a slate.", "scenario", "status"))
_REQUEST_SECONDS = _Histogram("request_duration_seconds", "Time to a slate.", _SECONDS, "scenario")
_STEP_SECONDS = _Histogram(
    "step_duration_seconds", "Time of a step of the flow.", _STEPS, "scenario", "step"
)
_HTTP = _Cells(_counter("http_requests", "Answers of HTTP.", "route", "method", "status"))
_HTTP_SECONDS = _Histogram(
    "http_request_duration_seconds", "Time to an answer of HTTP.", _SECONDS, "route"
)
_FALLBACKS = _Cells(_counter("fallbacks", "Slates in which something stood in.", "part"))
_EMPTY = _Cells(_counter("empty_slates", "Slates that a filter left nothing of.", "filter"))
_SLATE_ITEMS = _Histogram("slate_items", "Items of a slate.", _PLACES, "scenario")
_SHOWN = _Cells(_counter("items_shown", "Items on slates.", "scenario", "source"))
_CATALOGUE = _gauge("catalogue_items", "Items of the catalogue.")
_SCORES = _Histogram("score", "What ranking models predict.", _SCORE_LIMITS, "task")
_CANDIDATES = _Histogram(
    "candidates", "Candidates that a source found for a request.", _COUNTS, "source"
)
_LOOKUPS = _Cells(_counter("lookups", "Ids of requests, by whether known.", "kind", "known"))
_CACHE = _Cells(_counter("cache_lookups", "Looks into a cache.", "cache", "result"))
_COALESCED = _counter("coalesced_requests", "Requests that took the answer of an equal one.")
_BREAKERS = _Cells(_gauge("breaker_state", "1 for the state of a breaker.", "part", "state"))
_EVENTS = _Cells(_counter("events", "Events that were sent.", "type", "verdict"))
_OUTCOMES = _Cells(
    _counter("arm_events", "What happened to what an arm showed.", "experiment", "arm", "type")
)
_DROPPED = _counter("exposures_dropped", "Impressions that were not logged.")
_WAITING = _gauge("events_waiting", "Events that wait for the disk.")
_BEHIND = _gauge("store_behind", "1 while the feature store lacks events that the log has.")
_RELOADS = _Cells(
    _counter("experiment_reloads", "Readings of a changed file of experiments.", "result")
)
_RELOADED = _gauge("experiments_reloaded", "1 unless the file of experiments is broken.")
_MODELS = _gauge("model_info", "1 for the version of a model that answers.", "model", "version")
_RELOADED.set(1)
