"""A student learns from labels and from a teacher's predictions of the same Examples."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from busy_shop import spec_of
from in_this_process import in_this_process

from tfrec.config import validate
from tfrec.data.input_pipeline import read_shuffled
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.errors import UserError
from tfrec.features.parsing import ITEM_ROW, LABEL, TIME, taught
from tfrec.models.template import ModelConfig
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.reporter import Reporter
from tfrec.stages.teacher import write_taught
from tfrec.stages.train import train
from tfrec.training.config import TrainingConfig
from tfrec.training.job import TrainingJob


def save_teacher(target: Path, of: str, task: str = "taken", **model: Any) -> Path:
    """A teacher that predicts, of any Example, a number that only depends on its bytes."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def rank_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {task: predict(examples)}

    module.rank_examples = rank_examples

    def write(folder: Path) -> dict[str, Any]:
        signatures = {"rank_examples": rank_examples}
        tf.saved_model.save(module, str(folder / "saved_model"), signatures=signatures)
        return {}

    return produce("train", {"model": model}, {"prepare": of}, target, write).path


def predict(examples: tf.Tensor) -> tf.Tensor:
    return (tf.cast(tf.strings.to_hash_bucket_fast(examples, 99), tf.float32) + 1) / 100


def job_of(busy: PreparedData, folder: Path, teacher: Path, **model: Any) -> TrainingJob:
    section = {"template": "tfrec.models.DNN", "hidden": [4], **model}
    training = {"strategy": "single", "batch_size": 16, "epochs": 1}
    training["teacher"] = {"model": str(teacher), "weight": 0.7, "temperature": 2.0}
    return TrainingJob(
        features=spec_of(),
        model=validate(ModelConfig, section, "model"),
        training=validate(TrainingConfig, training, "training"),
        prepared=busy.path,
        output=folder,
    )


def test_examples_are_as_they_were_with_the_teachers_predictions(
    busy: PreparedData, tmp_path: Path
) -> None:
    prepared = Artifact(busy.path)
    teacher = save_teacher(tmp_path / "teacher", prepared.manifest.id)
    job = job_of(busy, tmp_path / "student", teacher)

    write_taught(job, prepared, Reporter())

    given, written = job.example_files(TRAIN), job.training_files
    assert written.files == given.files
    read = {}
    for files, columns in ((given, ()), (written, (taught("taken"),))):
        batches = read_shuffled(
            files.folder, files.files, spec_of(), files.examples, 0, labels=[LABEL],
            kind="labelled", taught=columns,
        )  # fmt: skip
        read[files.folder] = next(iter(batches))
    before, after = read[given.folder], read[written.folder]
    for name in (ITEM_ROW, TIME, LABEL, "visitor", "price"):
        np.testing.assert_array_equal(before[name], after[name])
    np.testing.assert_array_equal(before["recent"].values, after["recent"].values)
    column = {taught("taken"): tf.io.FixedLenFeature([], tf.float32)}
    for name in given.files:
        own, new = (records(files.folder / name) for files in (given, written))
        answers = tf.io.parse_example(new, column)[taught("taken")]
        np.testing.assert_allclose(answers, predict(own), rtol=1e-6)
    assert after[taught("taken")].shape == [given.examples]


def records(file: Path) -> tf.Tensor:
    return tf.data.TFRecordDataset(str(file)).batch(10_000).get_single_element()


def test_student_is_trained_and_the_manifest_names_its_teacher(
    busy: PreparedData, tmp_path: Path
) -> None:
    prepared = Artifact(busy.path)
    teacher = save_teacher(tmp_path / "teacher", prepared.manifest.id)
    job = job_of(busy, tmp_path, teacher)

    trained = train(
        job.training, job.model, spec_of(), prepared, tmp_path / "train", submitter=in_this_process
    )

    assert trained.manifest.inputs["teacher"] == Artifact(teacher).manifest.id
    assert not (trained.path / "taught").exists()
    epoch = json.loads((trained.path / "training_log.jsonl").read_text().splitlines()[-1])
    # Uniform predictions of [0, 1] at temperature 2 cost more than labels alone: 2^2 log 2.
    assert epoch["loss"] > 0.3 * 0.4 + 0.7 * 4 * 0.6
    assert epoch["validation_loss"] < 1.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "click"}, "predicts click, and not 'taken', which this model learns; take a"),
        ({"of": "other"}, "was trained on other prepared data than .*prepare, where numbers"),
        ({"loss": "lambda_rank"}, "learned by lambda_rank, after which predictions are no prob"),
    ],
)
def test_teacher_of_something_else_is_refused(
    busy: PreparedData, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    prepared = Artifact(busy.path)
    teacher = save_teacher(tmp_path / "teacher", **{"of": prepared.manifest.id, **changes})

    with pytest.raises(UserError, match=f"^training.teacher.model: .*{message}"):
        write_taught(job_of(busy, tmp_path / "student", teacher), prepared, Reporter())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"loss": "list_net"}, "model.loss: list_net learns of drawn items or lists; leave one"),
        ({"uniform_negatives": 2}, "model.uniform_negatives: 2 learns of drawn items or lists"),
        ({"template": "tfrec.models.Uplift", "treatment": "stars"}, "Uplift cannot be taught"),
    ],
)
def test_student_that_cannot_be_taught_is_refused(
    busy: PreparedData, tmp_path: Path, model: dict[str, Any], message: str
) -> None:
    teacher = save_teacher(tmp_path / "teacher", Artifact(busy.path).manifest.id)

    with pytest.raises(UserError, match=f"^training.teacher: .*{message}"):
        write_taught(job_of(busy, tmp_path, teacher, **model), Artifact(busy.path), Reporter())
