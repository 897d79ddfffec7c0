import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from shop import Shop

from tfrec.data.prepared import PreparedData
from tfrec.layers import mlp
from tfrec.models import TwoTower
from tfrec.training.checkpoints import Checkpoints, latest
from tfrec.training.epoch_log import EpochLog, read_epochs
from tfrec.training.job import TrainingJob
from tfrec.training.progress import Progress
from tfrec.training.trainer import train


def make_job(shop: Shop, prepared: PreparedData, output: Path, **training: object) -> TrainingJob:
    config = shop.config(training=training)
    return TrainingJob(
        features=config["features"],
        model=config["model"],
        training=config["training"],
        prepared=prepared.path,
        output=output,
    )


def epochs(job: TrainingJob) -> list[dict[str, float]]:
    return [json.loads(line) for line in job.log.read_text().splitlines()]


def test_training_goes_on_behind_the_last_checkpoint(
    shop: Shop, prepared: PreparedData, tmp_path: Path
) -> None:
    train(make_job(shop, prepared, tmp_path, epochs=1), lambda _: None)
    told: list[Progress] = []
    job = make_job(shop, prepared, tmp_path, epochs=3)

    train(job, told.append)

    assert [line["epoch"] for line in epochs(job)] == [1, 2, 3]
    assert epochs(job)[2]["loss"] < epochs(job)[0]["loss"]
    assert told[-1].step == told[-1].steps
    assert told[0].step > told[-1].steps // 3 - 1


def test_a_seed_makes_training_repeatable(
    shop: Shop, prepared: PreparedData, tmp_path: Path
) -> None:
    jobs = [
        make_job(shop, prepared, tmp_path / name, epochs=1, seed=seed)
        for name, seed in (("first", 1), ("second", 1), ("other", 2))
    ]
    for job in jobs:
        job.output.mkdir()
        train(job, lambda _: None)

    first, second, other = (epochs(job)[0]["loss"] for job in jobs)
    assert first == pytest.approx(second, rel=1e-5)
    assert first != pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize("saves_before_the_end", [2, 4, 6])
def test_training_in_two_goes_ends_where_one_go_does(
    shop: Shop,
    prepared: PreparedData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    saves_before_the_end: int,
) -> None:
    """Within the first epoch, at its end, and within the second one, with values hidden."""

    def job(name: str) -> TrainingJob:
        optimizers = {"tables": {"kind": "lazy_adam", "weight_decay": 0.1}}
        made = make_job(shop, prepared, tmp_path / name, epochs=2, optimizers=optimizers)
        made.output.mkdir()
        always = made.training.model_copy(update={"checkpoint_every": 0.0})
        return made.model_copy(update={"training": always})

    whole, broken = job("whole"), job("broken")
    assert whole.features["shopper"].unknown_share > 0
    train(whole, lambda _: None)
    with monkeypatch.context() as patch:
        interrupt(patch, saves_before_the_end)
        with pytest.raises(InterruptedError):
            train(broken, lambda _: None)
    assert len(read_epochs(broken.log)) == (0 if saves_before_the_end == 2 else 1)
    train(broken, lambda _: None)

    losses = [[epoch.loss for epoch in read_epochs(job.log)] for job in (whole, broken)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    state, expected = saved(broken), saved(whole)
    assert state.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(state[name], values, rtol=1e-5, atol=1e-7, err_msg=name)


class Dropping(TwoTower):
    def query_tower(self) -> tf_keras.Model:
        return mlp([16], output_dim=self.embedding_dim, dropout=0.3)


def test_a_checkpoint_between_the_last_step_of_an_epoch_and_its_line_loses_no_line(
    shop: Shop, prepared: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the thread of a cluster may write one; values are dropped as in one go."""

    def job(name: str) -> TrainingJob:
        made = make_job(shop, prepared, tmp_path / name, epochs=2)
        made.output.mkdir()
        model = made.model.model_copy(update={"template": f"{__file__}:Dropping"})
        return made.model_copy(update={"model": model})

    whole, broken = job("whole"), job("broken")
    train(whole, lambda _: None)
    with monkeypatch.context() as patch:
        held: list[Checkpoints] = []
        restore = Checkpoints.restore

        def hold(self: Checkpoints) -> bool:
            held.append(self)
            return restore(self)

        def save_and_fail(*_: object) -> None:
            held[0].save()
            raise InterruptedError

        patch.setattr(Checkpoints, "restore", hold)
        patch.setattr(EpochLog, "add", save_and_fail)
        with pytest.raises(InterruptedError):
            train(broken, lambda _: None)
    assert not broken.log.exists()
    train(broken, lambda _: None)

    first, second = ([(e.epoch, e.loss, e.validation_loss) for e in read_epochs(each.log)]
                     for each in (whole, broken))  # fmt: skip
    assert [line[0] for line in first] == [1, 2]
    np.testing.assert_allclose(second, first, rtol=1e-5)


def interrupt(patch: pytest.MonkeyPatch, saves: int) -> None:
    """Ends training with an error behind a number of checkpoints."""
    save, prefixes = Checkpoints.save, []

    def save_and_end(checkpoints: Checkpoints) -> Path:
        prefixes.append(save(checkpoints))
        if len(prefixes) == saves:
            raise InterruptedError
        return prefixes[-1]

    patch.setattr(Checkpoints, "save", save_and_end)


def saved(job: TrainingJob) -> dict[str, np.ndarray]:
    """All variables of the last checkpoint, with the optimisers' state."""
    reader = tf.train.load_checkpoint(latest(job.checkpoints))
    names = reader.get_variable_to_shape_map().keys() - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    return {name: reader.get_tensor(name) for name in names if "save_counter" not in name}


def test_processes_that_train_do_not_wait_for_beam() -> None:
    program = "import sys, tfrec.training.trainer; sys.exit('apache_beam' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, check=False)

    assert done.returncode == 0, done.stderr
