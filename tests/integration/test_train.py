"""Trainings that start from others, end early and are watched, each in processes of its own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from shop import Shop

from tfrec.config import validate
from tfrec.data.config import DataConfig
from tfrec.features import FeatureSpec
from tfrec.models.template import ModelConfig
from tfrec.stages.artifact import Artifact
from tfrec.stages.train import TrainedModel, train
from tfrec.training.checkpoints import latest, saved_steps
from tfrec.training.config import TrainingConfig
from tfrec.training.job import TrainingJob

ROWS = 5000
"""Enough for a table to be cut over the servers."""

MODEL = ModelConfig.model_validate({"embedding_dim": 8})
CLUSTER = {"strategy": "parameter_server", "workers": 1, "parameter_servers": 2}


@pytest.fixture(scope="module")
def features(shop: Shop) -> FeatureSpec:
    hashed = {"role": "user", "kind": "categorical", "embedding": 8, "lookup": "hash", "rows": ROWS}
    return validate(FeatureSpec, shop.config(features={"shopper": hashed})["features"])


@pytest.fixture(scope="module")
def prepared_hashed(
    shop: Shop, features: FeatureSpec, tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    from tfrec.stages.prepare import prepare

    data = validate(DataConfig, shop.config()["data"], "data")
    return prepare(data, features, tmp_path_factory.mktemp("hashed") / "prepare")


def go(features: FeatureSpec, prepared: Artifact, output: Path, **training: Any) -> TrainedModel:
    config = TrainingConfig.model_validate({"batch_size": 256, "epochs": 1, **training})
    return train(config, MODEL, features, prepared, output)


def learned(model: TrainedModel) -> dict[str, np.ndarray]:
    """Tables and slots, whole, by their keys in the last checkpoint."""
    reader = tf.train.load_checkpoint(latest(TrainingJob.read(model.path).checkpoints))
    shapes = reader.get_variable_to_shape_map()
    return {key: reader.get_tensor(key) for key, shape in shapes.items() if len(shape) == 2}


def test_a_cluster_starts_from_one_process_and_one_process_from_a_cluster(
    features: FeatureSpec, prepared_hashed: Artifact, tmp_path: Path
) -> None:
    kinds = {"tables": {"kind": "lazy_adam"}, "dense": {"kind": "adagrad"}}
    still = {name: {**one, "learning_rate": 1e-30} for name, one in kinds.items()}
    trained = go(features, prepared_hashed, tmp_path / "a", strategy="single", optimizers=kinds)

    cluster = go(
        features, prepared_hashed, tmp_path / "b",
        **CLUSTER, optimizers=still, warm_start=trained.path,
    )  # fmt: skip
    alone = go(
        features, prepared_hashed, tmp_path / "c",
        strategy="single", optimizers=still, warm_start=cluster.path,
    )  # fmt: skip

    files = [*TrainingJob.read(cluster.path).checkpoints.glob("*.data-*")]
    assert len(files) > 2  # of two servers
    before, there, back = (learned(model) for model in (trained, cluster, alone))
    tables = [key for key in before if "group_tables" in key or "_tower" in key]
    assert max(len(before[key]) for key in tables) > ROWS
    for key in tables:
        np.testing.assert_allclose(there[key], before[key], atol=1e-9)
        np.testing.assert_allclose(back[key], before[key], atol=1e-9)
    assert cluster.manifest.inputs["warm_start"] == trained.manifest.id


def test_training_ends_early_and_the_model_is_of_the_best_epoch(
    features: FeatureSpec, prepared_hashed: Artifact, tmp_path: Path
) -> None:
    model = go(
        features,
        prepared_hashed,
        tmp_path / "train",
        strategy="single",
        epochs=60,
        early_stopping={"patience": 2},
        evaluator=True,
        optimizers={"tables": {"kind": "adagrad", "learning_rate": 0.5}},
    )

    summary = model.manifest.summary
    losses = [epoch["validation_loss"] for epoch in summary["epochs"]]
    assert summary["stopped_early"]
    assert len(losses) == np.argmin(losses) + 3 < 60
    assert summary["epoch"] == np.argmin(losses) + 1
    assert summary["validation_loss"] == min(losses)
    job = TrainingJob.read(model.path)
    prefix = latest(job.checkpoints, best=True)
    assert saved_steps(prefix) == 17 * summary["epoch"]
    best = tf.train.load_checkpoint(prefix)
    kernel = best.get_tensor(
        "model/_item_tower/layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE"
    )
    weights = tf.saved_model.load(str(model.saved_model)).weights
    assert any(np.array_equal(weight, kernel) for weight in weights)
    boards = {file.parent.name for file in (model.path / "tensorboard").rglob("events.*")}
    assert {"train", "validation"} <= boards
    evaluations = (model.path / "evaluations.jsonl").read_text().splitlines()
    by_step = {17 * epoch["epoch"]: epoch["validation_loss"] for epoch in summary["epochs"]}
    for line in map(json.loads, evaluations):
        assert line["validation_loss"] == pytest.approx(by_step[line["step"]], rel=1e-4)
