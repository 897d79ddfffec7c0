"""Losses that a config names: each trains through the train stage, and the saved model answers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from busy_shop import spec_of
from in_this_process import in_this_process

from tfrec.data.input_pipeline import read_serialized
from tfrec.data.prepared import TEST, PreparedData
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.models.template import ModelConfig
from tfrec.stages.artifact import Artifact
from tfrec.stages.train import TrainedModel, train
from tfrec.training.config import TrainingConfig

pytestmark = pytest.mark.timeout(1800)
FAST = {kind: {"kind": "lazy_adam", "learning_rate": 0.01} for kind in ("tables", "dense")}


def run(
    data: PreparedData, features: FeatureSpec, folder: Path, batch_size: int, **model: Any
) -> TrainedModel:
    training = {"strategy": "single", "batch_size": batch_size, "epochs": 4, "optimizers": FAST}
    return train(
        TrainingConfig.model_validate(training),
        ModelConfig.model_validate(model),
        features,
        Artifact(data.path),
        folder / "train",
        submitter=in_this_process,
    )


def losses_of(trained: TrainedModel) -> list[float]:
    epochs = trained.manifest.summary["epochs"]
    assert all(np.isfinite(epoch["validation_loss"]) for epoch in epochs)
    return [epoch["loss"] for epoch in epochs]


def test_retrieval_learns_from_uniform_and_hard_negatives_and_estimated_shares(
    prepared: PreparedData, spec: FeatureSpec, tmp_path: Path
) -> None:
    trained = run(
        prepared, spec, tmp_path, 256, template="tfrec.models.TwoTower", embedding_dim=8,
        uniform_negatives=32, hard_negatives=20, item_frequency="streaming",
    )  # fmt: skip

    losses = losses_of(trained)
    (items,) = read_serialized(prepared.items)
    model = tf.saved_model.load(str(trained.saved_model))
    vectors = model.signatures["embed_item_examples"](examples=items)["embedding"]

    assert losses[-1] < losses[0]
    assert vectors.shape == (120, 8)


@pytest.fixture(scope="module")
def features() -> FeatureSpec:
    """Few: to a loss they make no difference."""
    return spec_of("visitor", "recent", "product", "aisle", "stars", "importance")


@pytest.mark.parametrize("loss", ["focal", "list_net", "list_mle", "lambda_rank", "calibrated"])
def test_rankers_learn_by_each_loss(
    busy: PreparedData, features: FeatureSpec, tmp_path: Path, loss: str
) -> None:
    trained = run(busy, features, tmp_path, 16, template="tfrec.models.DNN", hidden=[8], loss=loss)

    losses = losses_of(trained)
    examples = next(iter(read_serialized(busy.labelled(TEST))))
    model = tf.saved_model.load(str(trained.saved_model))
    taken = model.signatures["rank_examples"](examples=examples)["taken"].numpy()

    assert losses[-1] < losses[0]
    assert ((taken > 0) & (taken < 1)).all()


def test_lists_that_were_not_prepared_are_refused_with_the_remedy(
    prepared: PreparedData, spec: FeatureSpec, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"learns from lists, .* add lists: true to data.labels"):
        run(prepared, spec, tmp_path, 16, template="tfrec.models.DNN", loss="list_net")


def test_a_task_that_was_not_labelled_is_refused_before_anything_starts(
    busy: PreparedData, tmp_path: Path
) -> None:
    tasks = {"click": 1.0}

    with pytest.raises(
        UserError,
        match=r"^data.labels.tasks: none, without 'click', which tfrec.models.MMoE learns; add it",
    ):
        run(busy, spec_of(), tmp_path, 16, template="tfrec.models.MMoE", tasks=tasks)

    assert not list(tmp_path.rglob("*.tfevents*"))
    assert not (tmp_path / "train").exists()
