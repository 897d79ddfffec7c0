"""A trained ranker -> training Examples that hold its predictions."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.data.prepared import TRAIN
from tfrec.errors import UserError
from tfrec.features.parsing import taught
from tfrec.models.label_losses import LISTWISE
from tfrec.models.ranking import RankingTemplate
from tfrec.models.template import load_template
from tfrec.stages.artifact import Artifact, Manifest
from tfrec.stages.reporter import Reporter
from tfrec.training.job import TrainingJob

_FIELD = "training.teacher"
_SIGNATURE = "rank_examples"
_SCORED_TOGETHER = 8192
_ORDERS = ("focal", "list_net", "list_mle", "lambda_rank")


def write_taught(job: TrainingJob, prepared: Artifact, reporter: Reporter) -> None:
    """Asks the teacher of a job about each training Example once, and writes them with the answers.

    Every strategy then reads them as it reads others, and no process but this one holds the
    teacher. Files that an earlier, interrupted call has finished are kept.

    Args:
      job: the training; its `training_files` are written.
      prepared: its prepared data.
      reporter: hears of progress.

    Raises:
      UserError: if the template cannot be taught, or the teacher is of other data or tasks.
    """
    assert job.training.teacher is not None
    path = job.training.teacher.model
    tasks = _student_tasks(job)
    manifest = Artifact(path).manifest
    _check_teacher(path, manifest, prepared)
    model = tf.saved_model.load(str(path / "saved_model"))
    _check_tasks(path, model, tasks)
    given, written = job.example_files(TRAIN), job.training_files
    written.folder.mkdir(parents=True, exist_ok=True)
    done = 0
    for name, examples in given.files.items():
        reporter.progress("asking the teacher", done, given.examples)
        if not (written.folder / name).exists():
            _write(model, given.folder / name, written.folder / name, tasks)
        done += examples


def remove_taught(job: TrainingJob) -> None:
    """Removes what `write_taught` wrote."""
    shutil.rmtree(job.training_files.folder)


def _student_tasks(job: TrainingJob) -> list[str]:
    template, settings = load_template(job.model)
    if not (issubclass(template, RankingTemplate) and template.can_be_taught):
        raise UserError(
            f"{_FIELD}: {job.model.template} cannot be taught; take another ranking template, or "
            "leave it out"
        )
    assert isinstance(settings, RankingTemplate.Settings)
    if settings.uniform_negatives or settings.loss in LISTWISE:
        field = "uniform_negatives" if settings.uniform_negatives else "loss"
        raise UserError(
            f"{_FIELD}: answers for single Examples, and model.{field}: "
            f"{getattr(settings, field)} learns of drawn items or lists; leave one of them out"
        )
    return list(template.columns(settings))


def _check_teacher(path: Path, manifest: Manifest, prepared: Artifact) -> None:
    if manifest.stage != "train":
        raise UserError(
            f"{_FIELD}.model: {path} is of the stage {manifest.stage}; name the training artefact "
            "of a ranker, e.g. runs/shop_large/train"
        )
    if manifest.inputs.get("prepare") != prepared.manifest.id:
        raise UserError(
            f"{_FIELD}.model: {path} was trained on other prepared data than {prepared.path}, "
            "where numbers stand for other categories; train it on these"
        )
    loss = manifest.config.get("model", {}).get("loss")
    if loss in _ORDERS:
        raise UserError(
            f"{_FIELD}.model: {path} learned by {loss}, after which predictions are no "
            "probabilities; take a teacher with loss cross_entropy or calibrated"
        )


def _check_tasks(path: Path, model: Any, tasks: list[str]) -> None:
    signature = model.signatures.get(_SIGNATURE)
    known = sorted(signature.structured_outputs) if signature else []
    for task in tasks:
        if task not in known:
            raise UserError(
                f"{_FIELD}.model: {path} predicts {', '.join(known) or 'no task'}, and not "
                f"{task!r}, which this model learns; take a teacher of the same tasks"
            )


def _write(model: Any, given: Path, target: Path, tasks: list[str]) -> None:
    """Writes the Examples of a file, each with a column for each task, whole or not at all."""
    partial = target.with_name(f".{target.name}")
    with tf.io.TFRecordWriter(str(partial)) as file:
        for examples in tf.data.TFRecordDataset(str(given)).batch(_SCORED_TOGETHER):
            answers = model.signatures[_SIGNATURE](examples=examples)
            columns = [_column(taught(task), answers[task].numpy()) for task in tasks]
            # Serialised messages that follow each other are read as one that holds all of them.
            for parts in zip(examples.numpy(), *columns, strict=True):
                file.write(b"".join(parts))
    partial.rename(target)


def _column(name: str, values: np.ndarray) -> list[bytes]:
    """Serialised Examples of one number each, `[n]`."""
    number = tf.train.Feature(float_list=tf.train.FloatList(value=[0]))
    example = tf.train.Example(features=tf.train.Features(feature={name: number}))
    before = example.SerializeToString()[:-4]  # the number itself comes last
    numbers = values.astype("<f4").tobytes()
    return [before + numbers[start : start + 4] for start in range(0, len(numbers), 4)]
