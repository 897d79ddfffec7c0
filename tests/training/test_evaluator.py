import json
import threading
from pathlib import Path

import pytest
import tensorflow as tf
from shop import Shop

from tfrec.data.prepared import PreparedData
from tfrec.training import evaluator
from tfrec.training.checkpoints import latest, saved_steps
from tfrec.training.config import EarlyStopping
from tfrec.training.evaluator import evaluate
from tfrec.training.job import TrainingJob
from tfrec.training.trainer import train

DEADLINE_SECONDS = 300


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluator, "_LOOK_SECONDS", 0.5)


def make_job(shop: Shop, prepared: PreparedData, output: Path, **training: object) -> TrainingJob:
    config = shop.config(training=training)
    return TrainingJob(
        features=config["features"],
        model=config["model"],
        training=config["training"],
        prepared=prepared.path,
        output=output,
    )


def lines(job: TrainingJob) -> list[dict[str, float]]:
    file = job.output / "evaluations.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture(scope="module")
def trained(
    shop: Shop, prepared: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> TrainingJob:
    job = make_job(shop, prepared, tmp_path_factory.mktemp("trained"), epochs=1)
    train(job, lambda _: None)
    return job


def test_the_last_checkpoint_is_measured_once_as_training_does(trained: TrainingJob) -> None:
    evaluate(trained)
    evaluate(trained)

    (line,) = lines(trained)
    (epoch,) = (json.loads(line) for line in trained.log.read_text().splitlines())
    assert line["validation_loss"] == pytest.approx(epoch["validation_loss"], rel=1e-4)
    assert line["step"] == saved_steps(latest(trained.checkpoints))
    assert line["seconds"] > 0
    assert [*(trained.output / "tensorboard" / "evaluator").rglob("events.*")]


def test_checkpoints_are_waited_for_until_training_is_over(
    shop: Shop, prepared: PreparedData, trained: TrainingJob, tmp_path: Path
) -> None:
    job = make_job(shop, prepared, tmp_path, epochs=2)
    train(job.model_copy(update={"training": trained.training}), lambda _: None)
    thread = threading.Thread(target=evaluate, args=[job], daemon=True)
    thread.start()
    deadline = tf.timestamp() + DEADLINE_SECONDS
    while not lines(job) and tf.timestamp() < deadline:
        thread.join(0.1)
    assert [line["step"] for line in lines(job)] == [17]
    assert thread.is_alive()

    train(job, lambda _: None)
    thread.join(DEADLINE_SECONDS)

    assert not thread.is_alive()
    assert [line["step"] for line in lines(job)] == [17, 34]


def test_a_checkpoint_that_has_gone_meanwhile_is_left_out(
    trained: TrainingJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = trained.model_copy(update={"output": tmp_path})
    found = [str(tmp_path / "ckpt-1"), latest(trained.checkpoints)]
    monkeypatch.setattr(tf.train, "checkpoints_iterator", lambda *_, **__: iter(found))

    evaluate(job)

    assert [line["step"] for line in lines(job)] == [17]


def test_training_that_stopped_early_is_over(trained: TrainingJob, tmp_path: Path) -> None:
    settings = {"epochs": 9, "early_stopping": EarlyStopping(patience=1)}
    training = trained.training.model_copy(update=settings)
    job = trained.model_copy(update={"output": tmp_path, "training": training})
    (epoch,) = (json.loads(line) for line in trained.log.read_text().splitlines())
    worse = [epoch, {**epoch, "epoch": 2, "validation_loss": 99.0}]
    job.log.write_text("".join(json.dumps(line) + "\n" for line in worse))
    (tmp_path / "evaluations.jsonl").write_text('{"step": 34}\n')
    job.checkpoints.symlink_to(trained.checkpoints)

    evaluate(job)

    assert lines(job) == [{"step": 34}]
