import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import pytest
import tensorflow as tf

from tfrec.cli.reporter import show_metrics
from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.prepared import TEST, TRAIN, PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.evaluation.config import EvaluationConfig
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.evaluate import EvaluationArtifact, evaluate
from tfrec.stages.index import ItemIndex
from tfrec.stages.served_figures import write_figures
from tfrec.stages.train import TrainedModel

DIM = 4


class ByShopper(tf.Module):
    """Embeds a shopper as numbers that follow from the id's letters."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "shopper")])
    def embed_query(self, shopper: tf.Tensor) -> dict[str, tf.Tensor]:
        hashes = tf.stack([tf.strings.to_hash_bucket_fast(shopper + str(n), 100) for n in range(4)])
        return {"embedding": tf.cast(tf.transpose(hashes), tf.float32) - 50}


class Inputs(NamedTuple):
    """Artefacts that evaluation takes."""

    prepared: Artifact
    trained: TrainedModel
    indexed: ItemIndex


@pytest.fixture(scope="module")
def inputs(prepared: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("inputs")

    def save_model(target: Path) -> dict[str, Any]:
        model = ByShopper()
        tf.saved_model.save(
            model,
            str(TrainedModel(target).saved_model),
            signatures={"embed_query": model.embed_query},
        )
        return {}

    def save_vectors(target: Path) -> dict[str, Any]:
        items = len(prepared.item_counts(TRAIN))
        vectors = np.random.default_rng(0).normal(size=(items, DIM)).astype(np.float32)
        np.save(target / "embeddings.npy", vectors)
        return {}

    trained = produce("train", {}, {}, folder / "train", save_model)
    indexed = produce("index", {}, {}, folder / "index", save_vectors)
    return Inputs(Artifact(prepared.path), TrainedModel(trained.path), ItemIndex(indexed.path))


def run(
    inputs: Inputs, output: Path, served: Path | None = None, **config: Any
) -> EvaluationArtifact:
    section = validate(EvaluationConfig, {"k": [5], "resamples": 100, **config}, "evaluation")
    return evaluate(section, *inputs, output, served=served)


def test_model_and_baselines_are_measured_on_the_test_window(
    inputs: Inputs, prepared: PreparedData, tmp_path: Path
) -> None:
    made = run(inputs, tmp_path / "evaluate")

    metrics = made.manifest.summary["metrics"]
    queries = QuerySet.read(prepared.queries(TEST))
    assert list(metrics) == ["model", "popularity", "own_history"]
    assert metrics["model"]["all"]["users"] == len(queries)
    best = np.argsort(-prepared.item_counts(TRAIN), kind="stable")[:5]
    rows = [set(items) for items in queries.table["_relevant"].to_pylist()]
    recalls = [len(wanted & set(best.tolist())) / len(wanted) for wanted in rows]
    assert metrics["popularity"]["all"]["recall@5"] == pytest.approx(np.mean(recalls), abs=0.02)


def test_every_shoppers_values_are_beside_the_summary(inputs: Inputs, tmp_path: Path) -> None:
    made = run(inputs, tmp_path / "evaluate")

    table = pa.parquet.read_table(made.values)
    chosen = pc.and_(pc.equal(table["ranker"], "popularity"), pc.equal(table["slice"], "all"))
    mean = pc.mean(table.filter(chosen)["ndcg@5"]).as_py()
    assert mean == pytest.approx(made.manifest.summary["metrics"]["popularity"]["all"]["ndcg@5"])


def test_the_same_protocol_is_not_measured_again_and_another_one_is(
    inputs: Inputs, tmp_path: Path
) -> None:
    ids = [
        run(inputs, tmp_path / "evaluate", seen=seen).manifest.id
        for seen in ("both", "both", "keep")
    ]

    assert ids[0] == ids[1] != ids[2]


def test_items_are_told_apart_by_a_feature_of_the_catalogue(
    inputs: Inputs, prepared: PreparedData, tmp_path: Path
) -> None:
    config = {"metrics": ["intra_list_diversity"], "baselines": ["popularity"], "seen": "keep"}

    made = run(inputs, tmp_path / "evaluate", categories="aisle", **config)

    aisles = np.array(Catalogue(prepared.catalogue).table["aisle"].to_pylist())
    counts = prepared.item_counts(TRAIN)
    best = np.argsort(-counts, kind="stable")[:5]
    assert counts[best[4]] > np.sort(counts)[-6]  # the list has no tie at its end
    other = np.mean([aisles[a] != aisles[b] for a in best for b in best if a != b])
    figures = made.manifest.summary["metrics"]["popularity"]["all"]
    assert figures["intra_list_diversity@5"] == pytest.approx(other)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"categories": "isle"}, "evaluation.categories: 'isle' is no feature .*: .*aisle"),
        ({"slices": ["chanel"]}, "evaluation.slices: 'chanel' is no raw feature .*channel"),
        ({"k": [500]}, "evaluation.k: 500 is more than the 120 items"),
    ],
)
def test_protocol_that_does_not_fit_the_data_is_refused(
    inputs: Inputs, tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run(inputs, tmp_path / "evaluate", **config)


def test_tables_show_half_intervals_and_slices_that_are_too_small(
    inputs: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"slices": ["channel"], "seen": "keep", "min_users": 30}
    made = run(inputs, tmp_path / "evaluate", **config)
    low, high = made.manifest.summary["intervals"]["model"]["all"]["recall@5"]

    show_metrics(SimpleNamespace(evaluation=made))

    shown = capsys.readouterr().out
    (half,) = {line for line in shown.splitlines() if f"{(high - low) / 2:.4f}" in line}
    assert half.strip("│ ").startswith("± 95 %")
    assert shown.count("too small, fewer than 30") == 2
    assert "slice all/channel=web" in " ".join(shown.split())
    assert shown.endswith(f"report: {made.report}\nvalues: {made.values}\n")


def test_tables_of_sampled_candidates_say_so(
    inputs: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = run(inputs, tmp_path / "evaluate", candidates={"sampled": 10}, metrics=["recall"])

    show_metrics(SimpleNamespace(evaluation=made))

    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count("sampled: 10 items, uniform, seed 0") == 2
    assert shown.count("sampled_recall@5") == 2


def test_a_blessed_model_is_what_later_ones_are_compared_with(
    inputs: Inputs, tmp_path: Path
) -> None:
    over = {"metric": "recall@5", "over": "popularity"}

    refused = run(inputs, tmp_path / "evaluate", bless=[{**over, "margin": 0.9}])
    assert not refused.verdict.blessed
    assert not (tmp_path / "blessed.json").exists()

    blessed = run(inputs, tmp_path / "evaluate", bless=[{**over, "margin": -1.0}])
    again = run(inputs, tmp_path / "evaluate", bless=[{**over, "margin": -1.0}])
    assert blessed.verdict.blessed
    assert again.manifest.id == blessed.manifest.id
    kept = json.loads((tmp_path / "blessed.json").read_text())
    assert kept["metrics"] == blessed.manifest.summary["metrics"]["model"]


@pytest.mark.parametrize(("served", "blessed"), [(None, True), (0.0, True), (0.99, False)])
def test_a_model_is_compared_with_the_version_that_is_served(
    inputs: Inputs, tmp_path: Path, served: float | None, blessed: bool
) -> None:
    root = tmp_path / "serving" / "shop"
    if served is not None:
        version = root / "7"
        version.mkdir(parents=True)
        write_figures({"all": {"recall@5": served}}, "another", version)

    rule = {"metric": "recall@5", "over": "last"}
    made = run(inputs, tmp_path / "evaluate", root, bless=[rule], baselines={})

    assert made.verdict.blessed is blessed
    assert not (tmp_path / "blessed.json").exists()


def test_a_model_that_is_served_is_not_compared_with_itself(inputs: Inputs, tmp_path: Path) -> None:
    root = tmp_path / "serving" / "shop"
    before, itself = root / "7", root / "8"
    for version in (before, itself):
        version.mkdir(parents=True)
    write_figures({"all": {"recall@5": 0.0}}, "another", before)
    write_figures({"all": {"recall@9": 0.9}}, inputs.trained.manifest.id, itself)

    rule = {"metric": "recall@5", "over": "last"}
    made = run(inputs, tmp_path / "evaluate", root, bless=[rule], baselines={})

    assert made.verdict.rules[0].endswith("against 0.0000")
