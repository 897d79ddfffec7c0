"""What TensorFlow Model Analysis measures of a bundle, and what it must reach."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from google.protobuf import text_format

from tfrec.data.catalogue import Catalogue
from tfrec.data.prepared import TEST, TRAIN, PreparedData, QueryKind
from tfrec.data.query_examples import RELEVANT_IDS, write_query_examples
from tfrec.data.query_set import QuerySet
from tfrec.evaluation.blessing import ALL, LAST, Rule
from tfrec.evaluation.config import EvaluationConfig, Protocol, SliceConfig
from tfrec.evaluation.measures import RELEVANCE_MEASURES, Measure
from tfrec.evaluation.slices import slice_columns
from tfrec.pipelines.ranking_metrics import RankingMetric
from tfrec.serving.names import DEFAULT, IDS

SCHEMA_FILE = "schema.pbtxt"
_SLICE = "_slice_"


def write_queries(
    prepared: PreparedData,
    protocol: Protocol,
    of: QueryKind,
    examples: Path,
    schema: Path,
) -> None:
    """Writes the test window's queries as Examples for `eval_config`.

    Args:
      prepared: prepared data.
      protocol: its slices become columns.
      of: what the queries are of.
      examples: directory of the split to write.
      schema: directory for the schema that the Examples are read with.

    Raises:
      UserError: if nobody was seen in the window, or a slice cannot be made.
    """
    queries = QuerySet.read(prepared.queries(TEST, of))
    columns = slice_columns(protocol.slices, queries, prepared.item_counts(TRAIN))
    others = {f"{_SLICE}{name}": values for name, values in columns.items()}
    ids = Catalogue(prepared.catalogue).ids
    written = write_query_examples(queries, ids, others, examples / "queries.tfrecord")
    (schema / SCHEMA_FILE).write_text(text_format.MessageToString(written))


def eval_config(config: EvaluationConfig, k: int) -> tfma.EvalConfig:
    """Describes what is measured of the lists that `serving_default` answers, and its thresholds.

    Measured are the metrics of `config` that compare with what is relevant, in lists no longer than
    those; and its slices by shoppers. Rules of `config.bless` on these become thresholds: those
    over a number, and those over `last` against the baseline model. Rules over another ranker, or
    on what only the evaluation stage measures, are that stage's alone.

    Args:
      config: the `evaluation` section.
      k: how many items `serving_default` returns.

    Returns:
      What is done for one bundle; TFX adds a baseline where there is one. Every metric has to be a
      number, so that there is a verdict without rules too.
    """
    cuts = [part for part in config.slices if part.cold_items is None]
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(
                model_type=tfma.TF_GENERIC,
                signature_name=DEFAULT,
                prediction_key=IDS,
                label_key=RELEVANT_IDS,
            )
        ],
        slicing_specs=[
            tfma.SlicingSpec(),
            *(tfma.SlicingSpec(feature_keys=[f"{_SLICE}{part}"]) for part in cuts),
        ],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[_metric(measure, config.bless, cuts) for measure in measured(config, k)]
            )
        ],
    )


def measured(protocol: Protocol, k: int) -> list[Measure]:
    """The metrics that can be measured of lists of `k`; recall and ndcg at `k` if there are none.

    Args:
      protocol: the metrics wanted.
      k: length of the lists.
    """
    fit = [one for one in protocol.measures if one.kind in RELEVANCE_MEASURES and one.k <= k]
    return fit or [Measure("recall", k), Measure("ndcg", k)]


def broken_thresholds(evaluation: Path) -> list[str]:
    """Says which thresholds a bundle did not reach.

    Args:
      evaluation: directory of the analysis' results.

    Returns:
      A line for each, with slice, value and threshold; none if the bundle is blessed.
    """
    result = tfma.load_validation_result(str(evaluation))
    lines = [
        f"{failure.metric_key.name} of {_part(validated.slice_key)}: {_explain(failure)}"
        for validated in result.metric_validations_per_slice
        for failure in validated.failures
    ]
    nobody = [", ".join(part.feature_values.values()) for part in result.missing_slices]
    return lines + [f"{name}: nobody is in this slice" for name in nobody]


def _metric(
    measure: Measure, rules: Sequence[Rule], cuts: Sequence[SliceConfig]
) -> tfma.MetricConfig:
    number = tfma.MetricThreshold(value_threshold={"lower_bound": {"value": 0}})
    thresholds = [_on(tfma.SlicingSpec(), number)]
    for rule in rules:
        part = _slicing(rule.slice, cuts)
        if rule.metric == str(measure) and part is not None:
            thresholds += [_on(part, bar) for bar in _threshold(rule)]
    return tfma.MetricConfig(
        class_name=RankingMetric.__name__,
        module=RankingMetric.__module__,
        config=json.dumps({"kind": measure.kind, "k": measure.k, "name": str(measure)}),
        per_slice_thresholds=thresholds,
    )


def _slicing(name: str, cuts: Sequence[SliceConfig]) -> tfma.SlicingSpec | None:
    """The slice of a rule; none where it is not measured here."""
    ranking, _, part = name.partition("/")
    if ranking != ALL:
        return None
    if not part:
        return tfma.SlicingSpec()
    for cut in cuts:
        if part.startswith(str(cut)) if cut.feature else part == str(cut):
            return tfma.SlicingSpec(feature_values={f"{_SLICE}{cut}": part})
    return None


def _threshold(rule: Rule) -> list[tfma.MetricThreshold]:
    """The threshold of a rule over a number or over the baseline; none for any other."""
    if isinstance(rule.over, float):
        bar = {"lower_bound": {"value": rule.over + rule.margin}}
        return [tfma.MetricThreshold(value_threshold=bar)]
    if rule.over != LAST:
        return []
    change = tfma.GenericChangeThreshold(
        absolute={"value": rule.margin}, direction=tfma.MetricDirection.HIGHER_IS_BETTER
    )
    return [tfma.MetricThreshold(change_threshold=change)]


def _on(part: tfma.SlicingSpec, bar: tfma.MetricThreshold) -> tfma.PerSliceMetricThreshold:
    return tfma.PerSliceMetricThreshold(slicing_specs=[part], threshold=bar)


def _part(key: Any) -> str:
    """What the evaluation calls a slice."""
    names = [one.bytes_value.decode() for one in key.single_slice_keys]
    return "/".join([ALL, *names])


def _explain(failure: Any) -> str:
    """How far a metric is from its threshold."""
    if not failure.HasField("metric_value"):
        return "not measured"
    value, bar = failure.metric_value.double_value.value, failure.metric_threshold
    if bar.HasField("change_threshold"):
        asked = bar.change_threshold.absolute.value
        return f"{value:+.4f} over the bundle that was blessed last, less than {asked:+g}"
    return f"{value:.4f}, less than {bar.value_threshold.lower_bound.value:g}"
