"""One config, one template and prepared data, on every strategy."""

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from jobs import Watched, write_job
from shop import Shop

from tfrec.data.prepared import PreparedData
from tfrec.training.epoch_log import Epoch

EPOCHS = 3
IN_STEP = "multi_worker_mirrored"

Train = Callable[[str], tuple[Watched, list[Epoch]]]


@pytest.fixture(scope="module")
def train(shop: Shop, prepared: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Trains with a strategy, for all tests that ask for it."""

    @cache
    def train(strategy: str) -> tuple[Watched, list[Epoch]]:
        folder = tmp_path_factory.mktemp(strategy)
        job = write_job(shop, prepared, folder, strategy=strategy, workers=2, epochs=EPOCHS)
        run = Watched(job)
        return run, run.go()

    return train


@pytest.mark.parametrize("strategy", ["single", "mirrored", IN_STEP, "parameter_server"])
def test_the_same_template_trains_on_every_strategy(train: Train, strategy: str) -> None:
    run, epochs = train(strategy)

    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
    assert epochs[2].loss < epochs[0].loss
    assert all(math.isfinite(epoch.validation_loss or math.nan) for epoch in epochs)
    assert run.told[-1].step == run.told[-1].steps
    assert run.told[-1].loss == epochs[2].loss
    kept = {file.name.split(".")[0] for file in run.job.checkpoints.iterdir()} - {""}
    assert kept == {"best", "checkpoint", f"ckpt-{EPOCHS - 1}", f"ckpt-{EPOCHS}"}


def test_workers_in_step_go_on_together_behind_a_checkpoint(
    shop: Shop, prepared: PreparedData, tmp_path: Path, train: Train
) -> None:
    settings = {"strategy": IN_STEP, "workers": 2}
    _, in_one = train(IN_STEP)

    Watched(write_job(shop, prepared, tmp_path, epochs=1, **settings)).go()
    in_two = Watched(write_job(shop, prepared, tmp_path, epochs=EPOCHS, **settings)).go()

    assert [epoch.loss for epoch in in_two] == pytest.approx([epoch.loss for epoch in in_one], 1e-5)
