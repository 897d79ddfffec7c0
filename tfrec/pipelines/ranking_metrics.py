"""The evaluation's ranking metrics for TensorFlow Model Analysis."""

from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np
import scann  # noqa: F401  (so that bundles with ScaNN's operations can be loaded)
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types, metric_util

from tfrec.evaluation.measures import RELEVANCE_MEASURES

Sums = tuple[float, int]
"""Sum of the values of queries, and how many there are."""


class RankingMetric(metric_types.Metric):
    """The mean of a metric over all queries for which something is relevant.

    Predictions are ids of items, `[n]`, best first, empty where there are no more; labels are those
    of the relevant items, each once.
    """

    def __init__(self, kind: str, k: int, name: str | None = None) -> None:
        """Names the metric.

        Args:
          kind: as the evaluation calls it, e.g. `recall` or `ndcg`.
          k: length of the lists to measure.
          name: what the metric is called; `KIND@K` by default.
        """
        computations = metric_util.merge_per_key_computations(_computations)
        super().__init__(computations, kind=kind, k=k, name=name or f"{kind}@{k}")


metric_types.register_metric(RankingMetric)


def measure_list(kind: str, k: int, ranked: np.ndarray, relevant: np.ndarray) -> float:
    """Measures the list of one query.

    Args:
      kind: of metric.
      k: how many of the items to look at.
      ranked: `[n]` ids, best first.
      relevant: `[m]` ids.

    Returns:
      The value; NaN where nothing is relevant.
    """
    hits = np.isin(ranked[:k], relevant)
    # Places that a short list leaves empty have missed.
    hits = np.pad(hits, [0, k - len(hits)])
    return float(RELEVANCE_MEASURES[kind](hits[np.newaxis], np.array([len(relevant)]))[0])


def _computations(
    kind: str, k: int, name: str, eval_config: tfma.EvalConfig, model_name: str = "", **_: Any
) -> metric_types.MetricComputations:
    key = metric_types.MetricKey(name=name, model_name=model_name)
    combiner = _Mean(key, kind, k, eval_config)
    return [metric_types.MetricComputation(keys=[key], preprocessors=None, combiner=combiner)]


class _Mean(beam.CombineFn):
    """Sums what each query's list is worth."""

    def __init__(
        self, key: metric_types.MetricKey, kind: str, k: int, config: tfma.EvalConfig
    ) -> None:
        self._key, self._kind, self._k, self._config = key, kind, k, config

    def create_accumulator(self) -> Sums:
        return 0.0, 0

    def add_input(self, sums: Sums, query: metric_types.StandardMetricInputs) -> Sums:
        # It takes out of a query what is this model's.
        ((relevant, ranked, _),) = metric_util.to_label_prediction_example_weight(
            query, self._config, self._key.model_name, flatten=False, allow_none=True
        )
        value = measure_list(self._kind, self._k, ranked, relevant)
        return sums if np.isnan(value) else (sums[0] + value, sums[1] + 1)

    def merge_accumulators(self, parts: Iterable[Sums]) -> Sums:
        sums, counts = zip(*parts, strict=True)
        return sum(sums), sum(counts)

    def extract_output(self, sums: Sums) -> dict[metric_types.MetricKey, float]:
        return {self._key: sums[0] / sums[1] if sums[1] else float("nan")}
