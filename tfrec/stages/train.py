"""prepared data -> a trained model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from tfrec.data.input_pipeline import read_examples
from tfrec.data.prepared import VALIDATION
from tfrec.features import FeatureSpec
from tfrec.models.signatures import save_model
from tfrec.models.template import ModelConfig, load_template, source_digest
from tfrec.models.two_tower import TwoTower
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.reporter import Reporter
from tfrec.training.cluster import run_cluster
from tfrec.training.config import TrainingConfig
from tfrec.training.job import TrainingJob
from tfrec.training.trainer import Progress


class TrainedModel(Artifact):
    """A trained model: a SavedModel, its checkpoints and its log."""

    @property
    def saved_model(self) -> Path:
        """SavedModel; `save_model` names its signatures."""
        return self.path / "saved_model"


def train(
    config: TrainingConfig,
    model: ModelConfig,
    features: FeatureSpec,
    prepared: Artifact,
    output: Path,
    reporter: Reporter | None = None,
) -> TrainedModel:
    """Trains a template on processes of its own and saves the model.

    Args:
      config: the `training` section.
      model: the `model` section.
      features: the `features` section.
      prepared: prepared data.
      output: directory of the artefact.
      reporter: hears of progress.

    Returns:
      The artefact.

    Raises:
      UserError: if the template cannot be found, or a process ends before its time.
    """
    reporter = reporter or Reporter()
    template, _ = load_template(model)

    def make(directory: Path) -> dict[str, Any]:
        job = TrainingJob(
            features=features,
            model=model,
            training=config,
            prepared=prepared.path.resolve(),
            output=directory.resolve(),
        )
        file = directory / "job.json"
        file.write_text(job.model_dump_json(indent=2))
        reporter.step(f"starting {config.strategy} training")
        run_cluster(config, file, directory / "logs", _shown_by(reporter, config))
        reporter.step("measuring on validation rows and saving")
        trained = _restore(job)
        save_model(
            trained,
            tft.TFTransformOutput(str(job.data.transform)),
            TrainedModel(directory).saved_model,
        )
        epochs = [json.loads(line) for line in job.log.read_text().splitlines()]
        return {
            "template": model.template,
            "strategy": config.strategy,
            "parameters": int(sum(tf.size(weight) for weight in trained.trainable_weights)),
            "epochs": epochs,
            "validation_loss": _validation_loss(job, trained),
        }

    sections = {
        "training": config.model_dump(mode="json"),
        "model": model.model_dump(mode="json"),
        "features": features.model_dump(mode="json"),
    }
    inputs = {"prepare": prepared.manifest.id, "template": source_digest(template)}
    return TrainedModel(produce("train", sections, inputs, output, make, resumable=True).path)


def _shown_by(reporter: Reporter, config: TrainingConfig) -> Callable[[Progress], None]:
    def show(progress: Progress) -> None:
        loss = "" if progress.loss is None else f", loss {progress.loss:.4f}"
        what = f"training, {progress.examples_per_second:,.0f} examples/s{loss}"
        reporter.progress(what, progress.step, progress.steps)

    return show


def _restore(job: TrainingJob) -> TwoTower:
    """Builds the model in this process, its tables whole, from the cluster's last checkpoint."""
    model = job.build_model()
    latest = tf.train.latest_checkpoint(str(job.checkpoints))
    status = tf.train.Checkpoint(model=model).restore(latest)
    status.assert_existing_objects_matched().expect_partial()
    return model


def _validation_loss(job: TrainingJob, model: TwoTower) -> float | None:
    batches = read_examples(job.data.examples(VALIDATION), job.features, job.training.batch_size)
    model.compile()
    return float(model.evaluate(batches, return_dict=True, verbose=0)["mean_loss"])
