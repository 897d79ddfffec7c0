import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tfx.components.evaluator import executor
from tfx.types import Artifact
from tfx.types.artifact_utils import encode_split_names
from tfx.types.standard_artifacts import Examples, Model, ModelBlessing, ModelEvaluation, Schema
from toy_bundle import write_toy_bundle

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.prepared import TEST, PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.data.splits import EXAMPLE_PARTS
from tfrec.evaluation.config import EvaluationConfig
from tfrec.pipelines.components.evaluator import EvaluatorExecutor
from tfrec.pipelines.evaluator import eval_config, measured, write_queries
from tfrec.serving.servable import Servable

SHOPPERS, ITEMS = 30, 12


@pytest.fixture
def data(tmp_path: Path, make_queries: Callable[..., QuerySet]) -> PreparedData:
    """What of prepared data queries are made of."""
    random = np.random.default_rng(0)
    queries = make_queries(
        relevant=[random.integers(ITEMS, size=1 + number % 4) for number in range(SHOPPERS)],
        seen=[[]] * SHOPPERS,
        recent=[["sku-3", "sku-1"][: number % 3] for number in range(SHOPPERS)],
        channel=random.choice(["web", "app"], SHOPPERS),
    )
    prepared = PreparedData(tmp_path / "prepared")
    prepared.queries(TEST).mkdir(parents=True)
    pa.parquet.write_table(queries.table, prepared.queries(TEST) / "queries.parquet")
    ids = [f"sku-{number}" for number in range(ITEMS)]
    pa.parquet.write_table(pa.table({"_id": ids}), prepared.catalogue)
    prepared.write_item_counts(np.ones([len(EXAMPLE_PARTS), ITEMS], int))
    return prepared


def _evaluation(**content: object) -> EvaluationConfig:
    return validate(EvaluationConfig, content, "evaluation")


def _thresholds(config: EvaluationConfig) -> dict[str, list[tuple[dict, object]]]:
    """Metric -> slice and bound of each of its thresholds but the one that it is a number."""
    (specs,) = eval_config(config, 5).metrics_specs
    found = {}
    for metric in specs.metrics:
        bars = []
        for one in metric.per_slice_thresholds[1:]:
            bound = one.threshold.value_threshold.lower_bound.value
            if one.threshold.HasField("change_threshold"):
                bound = ("change", one.threshold.change_threshold.absolute.value)
            bars.append((dict(one.slicing_specs[0].feature_values), bound))
        found[json.loads(metric.config)["name"]] = bars
    return found


def test_lists_longer_than_the_served_ones_are_not_measured() -> None:
    config = _evaluation(k=[5, 20], metrics=["recall", "mrr", "coverage", "ndcg@3"])

    assert [str(one) for one in measured(config, 5)] == ["recall@5", "ndcg@3"]
    assert [str(one) for one in measured(_evaluation(k=[50]), 5)] == ["recall@5", "ndcg@5"]


def test_rules_become_thresholds_of_what_is_measured() -> None:
    config = _evaluation(
        k=[5, 20],
        metrics=["recall", "ndcg"],
        slices=["channel", {"cold_users": 3}, {"cold_users": 30}, {"cold_items": 3}],
        bless=[
            {"metric": "recall@5", "over": 0.2, "margin": 0.05},
            {"metric": "recall@5", "over": "last", "margin": -0.01, "slice": "all/channel=web"},
            {"metric": "ndcg@5", "over": "last", "slice": "all/cold_users<30"},
            {"metric": "ndcg@5", "over": 0.1, "slice": "new_to_shopper"},
            {"metric": "ndcg@5", "over": 0.1, "slice": "all/cold_items<3"},
            {"metric": "ndcg@5", "over": "popularity"},
            {"metric": "recall@20", "over": 0.1},
        ],
    )

    assert _thresholds(config) == {
        "recall@5": [
            ({}, 0.25), ({"_slice_channel=": "channel=web"}, ("change", -0.01)),
        ],
        "ndcg@5": [({"_slice_cold_users<30": "cold_users<30"}, ("change", 0.0))],
    }  # fmt: skip


def test_no_bundle_is_compared_with_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(executor.Executor, "Do", lambda _, inputs, *__: seen.append(inputs))
    monkeypatch.setattr("tfrec.pipelines.components.evaluator.broken_thresholds", lambda _: [])
    outputs = _outputs(tmp_path)

    for baselines in ([_artifact(Model, tmp_path, 7)], [_artifact(Model, tmp_path, 3)], []):
        inputs = {"model": [_artifact(Model, tmp_path, 7)], "baseline_model": baselines}
        EvaluatorExecutor().Do(inputs, outputs, {})

    assert [[one.id for one in inputs["baseline_model"]] for inputs in seen] == [[], [3], []]


def test_a_bundle_is_measured_as_it_answers_and_refused_with_its_figures(
    data: PreparedData, tmp_path: Path
) -> None:
    config = _evaluation(
        k=[5],
        slices=["channel"],
        bless=[
            {"metric": "recall@5", "over": 0.01},
            {"metric": "recall@5", "over": 0.9, "slice": "all/channel=web"},
            {"metric": "ndcg@5", "over": "last", "margin": 0.1},
        ],
    )
    version = _export(data, tmp_path)
    (tmp_path / "schema").mkdir()
    write_queries(
        data, config, "shoppers", tmp_path / "queries" / "Split-test", tmp_path / "schema"
    )
    queries = _artifact(Examples, tmp_path / "queries", 1)
    queries.split_names = encode_split_names(["test"])
    outputs = _outputs(tmp_path)

    EvaluatorExecutor().Do(
        {
            "examples": [queries],
            "schema": [_artifact(Schema, tmp_path / "schema", 2)],
            "model": [_artifact(Model, tmp_path, 3)],
            "baseline_model": [_artifact(Model, tmp_path, 4)],
        },
        outputs,
        {
            "eval_config": json_format.MessageToJson(eval_config(config, 5)),
            "example_splits": json.dumps(["test"]),
        },
    )

    web, everyone = _recalls(data, version)
    figures = _figures(Path(outputs["evaluation"][0].uri))
    assert figures[""]["recall@5"] == pytest.approx(everyone)
    assert figures["channel=web"]["recall@5"] == pytest.approx(web)
    (blessing,) = outputs["blessing"]
    assert blessing.get_int_custom_property("blessed") == 0
    assert sorted(blessing.get_string_custom_property("because").split("; ")) == [
        "ndcg@5 of all: +0.0000 over the bundle that was blessed last, less than +0.1",
        f"recall@5 of all/channel=web: {web:.4f}, less than 0.9",
    ]


def _export(prepared: PreparedData, folder: Path) -> Path:
    """A bundle that depends on the query, where TFX looks for models."""
    queries = QuerySet.read(prepared.queries(TEST))
    specs = {
        name: tf.TensorSpec(
            [None] * values.ndim, tf.string if values.dtype == object else tf.float32, name
        )
        for name, values in queries.inputs(queries.features).items()
    }
    version = write_toy_bundle(prepared, specs, folder / "bundle").version
    (folder / "Format-Serving").symlink_to(version)
    return version


def _recalls(prepared: PreparedData, version: Path) -> tuple[float, float]:
    """Mean recall at 5 of shoppers on the web, and of all, by hand."""
    queries, ids = QuerySet.read(prepared.queries(TEST)), Catalogue(prepared.catalogue).ids
    servable = Servable.load(version)
    inputs = queries.inputs(queries.features)
    (lists,) = servable.run(servable.signatures["serving_default"], inputs, ["ids"]).values()
    relevant: list[set[str]] = [set() for _ in range(len(queries))]
    for shopper, row in zip(*queries.relevant, strict=True):
        relevant[shopper].add(ids[row])
    recalls = np.array(
        [
            len(wanted & {item.decode() for item in ranked}) / len(wanted)
            for ranked, wanted in zip(lists, relevant, strict=True)
        ]
    )
    web = inputs["channel"] == "web"
    assert 0 < web.sum() < len(web)
    return recalls[web].mean(), recalls.mean()


def _figures(evaluation: Path) -> dict[str, dict[str, float]]:
    """The candidate's figures by slice."""
    (candidate,) = tfma.load_eval_results([str(evaluation)], model_name="candidate").get_results()
    return {
        "".join(value for _, value in key): {
            name: figure["doubleValue"] for name, figure in values[""][""].items()
        }
        for key, values in candidate.slicing_metrics
    }


def _outputs(folder: Path) -> dict[str, list[Artifact]]:
    kinds = {"evaluation": ModelEvaluation, "blessing": ModelBlessing}
    for name in kinds:
        (folder / name).mkdir(exist_ok=True)
    return {name: [_artifact(kind, folder / name, 9)] for name, kind in kinds.items()}


def _artifact(kind: type[Artifact], path: Path, number: int) -> Artifact:
    artifact = kind()
    artifact.uri, artifact.id = str(path), number
    return artifact
