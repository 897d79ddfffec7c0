"""prepared data -> a trained model."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import tensorflow as tf
import tensorflow_transform as tft

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.config import DataConfig, ImpressionLabels
from tfrec.data.interaction_reader import read_interactions
from tfrec.data.prepared import TRAIN, PreparedData, QueryKind
from tfrec.embeddings.quantised import Precision
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.parsing import LABEL, task_label
from tfrec.models.base import Template
from tfrec.models.catalogue_features import CatalogueFeatures
from tfrec.models.closed_form import ClosedForm
from tfrec.models.quantised import quantise_model
from tfrec.models.ranking import RankingTemplate
from tfrec.models.retrieval import RetrievalTemplate
from tfrec.models.signatures import save_fitted_model, save_ranking_model, save_retrieval_model
from tfrec.models.template import ModelConfig, load_template, source_digest
from tfrec.stages.artifact import Artifact, is_made, produce, unfinished
from tfrec.stages.plan import plan
from tfrec.stages.reporter import Reporter
from tfrec.stages.teacher import remove_taught, write_taught
from tfrec.training.checkpoints import latest
from tfrec.training.cluster import run_cluster
from tfrec.training.config import TrainingConfig
from tfrec.training.epoch_log import EpochLog
from tfrec.training.existing_cluster import ExistingCluster
from tfrec.training.job import JOB_FILE, TrainingJob
from tfrec.training.progress import Progress
from tfrec.training.submit import Submitter

_RUNNING = {"checkpoint_every", "evaluator", "memory_per_server", "restarts", "worker_timeout"}
"""Settings that say how training is kept running, not what comes out."""


class TrainedModel(Artifact):
    """A trained model: a SavedModel, its checkpoints and its log."""

    @property
    def saved_model(self) -> Path:
        """SavedModel; see `save_retrieval_model` and `save_ranking_model`."""
        return self.path / "saved_model"

    @property
    def queries(self) -> QueryKind:
        """What its queries are of."""
        return self.manifest.summary.get("queries", "shoppers")


def train(
    config: TrainingConfig,
    model: ModelConfig,
    features: FeatureSpec,
    prepared: Artifact,
    output: Path,
    reporter: Reporter | None = None,
    resume: bool = False,
    submitter: Submitter = run_cluster,
    work: Path | None = None,
) -> TrainedModel:
    """Trains a template and saves the model.

    In an `ExistingCluster` every task calls this; those that do not lead help until the model is
    saved.

    Args:
      config: the `training` section.
      model: the `model` section.
      features: the `features` section.
      prepared: prepared data.
      output: directory of the artefact.
      reporter: hears of progress.
      resume: only goes on with a training of the same config and data that was cut short; without
        it one is started where there is none.
      submitter: who has it trained; processes of this machine by default.
      work: what the directory of an unfinished training is named after in place of `output`, where
        the same training has another `output` when it is tried again; see `produce`.

    Returns:
      The artefact.

    Raises:
      UserError: if the template cannot be found, the tables do not fit, there is nothing to
        resume, or training failed.
    """
    reporter = reporter or Reporter()
    template, settings = load_template(model)
    if issubclass(template, ClosedForm):
        if isinstance(submitter, ExistingCluster):
            raise UserError(
                f"model.template: {model.template} is fitted by one process; train it with "
                "pipeline.training_on: processes"
            )
        fitted = cast(type[ClosedForm], template)(cast(ClosedForm.Settings, settings))
        return _fit(fitted, model, features, prepared, output, reporter)

    sections, inputs = _identity(config, model, features, prepared)
    if isinstance(submitter, ExistingCluster):
        submitter.check(config)
        if not submitter.leads:
            has_ended = partial(is_made, "train", sections, inputs, output)
            folder = unfinished("train", sections, inputs, work or output)
            job = folder / JOB_FILE
            submitter.help(config, job, folder / "logs", has_ended, reporter.tasks)
            return TrainedModel(output)

    def make(directory: Path) -> dict[str, Any]:
        job = TrainingJob(
            features=features,
            model=model,
            training=config,
            prepared=prepared.path.resolve(),
            output=directory.resolve(),
        )
        job.example_files(TRAIN)  # refuses what was not prepared, before anything starts
        _check_tasks(job, prepared)
        if config.teacher:
            write_taught(job, prepared, reporter)
        file = job.write()
        planned = plan(config, features, prepared, model)
        (directory / "plan.json").write_text(planned.model_dump_json(indent=2))
        if planned.problem:
            raise UserError(planned.problem)
        reporter.step(f"starting {config.strategy} training")
        submitter(config, file, directory / "logs", _shown_by(reporter, config), reporter.tasks)
        reporter.step("saving")
        trained = save_model(job, TrainedModel(directory).saved_model)
        if config.teacher:
            remove_taught(job)
        return {
            "template": model.template,
            "queries": trained.queries,
            "strategy": config.strategy,
            "parameters": int(sum(tf.size(weight) for weight in trained.trainable_weights)),
            **({"tasks": dict(trained.measured)} if isinstance(trained, RankingTemplate) else {}),
            **_summarise(job),
        }

    def lead(directory: Path) -> dict[str, Any]:
        if not isinstance(submitter, ExistingCluster):
            return make(directory)
        with submitter.leading(directory):
            return make(directory)

    return TrainedModel(produce("train", sections, inputs, output, lead, True, resume, work).path)


def job_file(
    config: TrainingConfig,
    model: ModelConfig,
    features: FeatureSpec,
    prepared: Artifact,
    output: Path,
) -> Path:
    """The file in which `train`, called with the same, tells whoever trains what to train."""
    sections, inputs = _identity(config, model, features, prepared)
    return unfinished("train", sections, inputs, output).resolve() / JOB_FILE


def _identity(
    config: TrainingConfig, model: ModelConfig, features: FeatureSpec, prepared: Artifact
) -> tuple[dict[str, Any], dict[str, str]]:
    """The config, and the ids of what is read, that decide what comes out."""
    template, _ = load_template(model)
    sections = {
        "training": config.model_dump(mode="json", exclude=_RUNNING),
        "model": model.model_dump(mode="json"),
        "features": features.model_dump(mode="json"),
    }
    inputs = {"prepare": prepared.manifest.id, "template": source_digest(template)}
    if config.warm_start:
        inputs["warm_start"] = _id_of(config.warm_start)
    if config.teacher:
        inputs["teacher"] = Artifact(config.teacher.model).manifest.id
    return sections, inputs


def _check_tasks(job: TrainingJob, prepared: Artifact) -> None:
    """Refuses a template that learns a label which preparation has not made."""
    labels = validate(DataConfig, prepared.manifest.config["data"], "data").labels
    tasks = labels.tasks if isinstance(labels, ImpressionLabels) else {}
    columns = {task_label(task): task for task in tasks}
    for column in job.labels:
        if column != LABEL and column not in columns:
            task = column.removeprefix(task_label(""))
            raise UserError(
                f"data.labels.tasks: {', '.join(tasks) or 'none'}, without {task!r}, which "
                f"{job.model.template} learns; add it to labels of kind impressions, e.g. "
                f"tasks: {{{task}: [{task}]}}"
            )


def save_model(job: TrainingJob, path: Path, precision: Precision = "float32") -> Template:
    """Saves what a training left in its last checkpoint, or in its best one if it may stop early.

    Args:
      job: the training.
      path: directory of the SavedModel.
      precision: of its embedding tables and dense layers.

    Returns:
      The model, its tables whole in this process.
    """
    model = _restore(job)
    if precision != "float32":
        quantise_model(model, precision)
    _save(model, job.data, path, Artifact(job.prepared).manifest.summary["item"])
    return model


def _fit(
    fitted: ClosedForm,
    model: ModelConfig,
    features: FeatureSpec,
    prepared: Artifact,
    output: Path,
    reporter: Reporter,
) -> TrainedModel:
    """Fits a model in closed form in this process, and saves it."""
    config = validate(DataConfig, prepared.manifest.config["data"], "data")
    history = _history(features, config.item, model)

    def make(directory: Path) -> dict[str, Any]:
        data = PreparedData(prepared.path)
        reporter.step("reading training events")
        interactions = read_interactions(data, config)
        reporter.step(f"fitting {len(interactions):,} events")
        fitted.fit(interactions)
        reporter.step("saving")
        ids = Catalogue(data.catalogue).ids
        save_fitted_model(fitted, history, ids, TrainedModel(directory).saved_model)
        return {
            "template": model.template,
            "strategy": "closed form",
            "parameters": sum(getattr(fitted, name).size for name in fitted.state),
            "events": len(interactions),
        }

    sections = {"model": model.model_dump(mode="json"), "history": history}
    inputs = {"prepare": prepared.manifest.id, "template": source_digest(type(fitted))}
    return TrainedModel(produce("train", sections, inputs, output, make).path)


def _history(features: FeatureSpec, item: str, model: ModelConfig) -> str:
    """The feature in which a request says what a shopper chose before: the longest history."""
    histories = {n: f.last for n, f in features.sequences.items() if f.of == item}
    if not histories:
        raise UserError(
            f"model.template: {model.template} scores items from a history; add one to features, "
            f"e.g. recent: {{role: user, kind: sequence, of: {item}, last: 50}}"
        )
    return max(histories, key=lambda name: histories[name])


def _shown_by(reporter: Reporter, config: TrainingConfig) -> Callable[[Progress], None]:
    def show(progress: Progress) -> None:
        loss = "" if progress.loss is None else f", loss {progress.loss:.4f}"
        what = f"training, {progress.examples_per_second:,.0f} examples/s{loss}"
        reporter.progress(what, progress.step, progress.steps)
        if progress.warning:
            reporter.warn(progress.warning)

    return show


def _restore(job: TrainingJob) -> Template:
    """Builds the model in this process, its tables whole, from the last checkpoint or the best."""
    model = job.build_model()
    checkpoint = latest(job.checkpoints, best=job.training.early_stopping is not None)
    status = tf.train.Checkpoint(model=model).restore(checkpoint)
    status.assert_existing_objects_matched().expect_partial()
    return model


def _save(model: Template, data: PreparedData, path: Path, item: str) -> None:
    transform = tft.TFTransformOutput(str(data.transform))
    if isinstance(model, RetrievalTemplate):
        save_retrieval_model(model, transform, path, item)
    elif isinstance(model, RankingTemplate):
        catalogue = CatalogueFeatures(model.spec, model.item_features, data)
        save_ranking_model(model, transform, catalogue, path, item)
    else:
        raise TypeError(f"{type(model).__name__} is neither a retrieval nor a ranking template")


def _summarise(job: TrainingJob) -> dict[str, Any]:
    """The log, and which epoch the model is of."""
    log = EpochLog(job.log, job.training.epochs, job.training.early_stopping)
    last = log.epochs[-1]
    model_of = (log.best or last) if job.training.early_stopping else last
    return {
        "epochs": [epoch.model_dump() for epoch in log.epochs],
        "epoch": model_of.epoch,
        "stopped_early": last.epoch < job.training.epochs,
        "validation_loss": model_of.validation_loss,
    }


def _id_of(earlier: Path) -> str:
    """Id of an artefact; a run that was not finished has none, and is known by its name."""
    try:
        return Artifact(earlier).manifest.id
    except UserError:
        return earlier.name
