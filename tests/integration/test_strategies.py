"""One config, one template and prepared data, on every strategy."""

import math
from pathlib import Path

import pytest
from jobs import Watched, write_job
from shop import Shop

from tfrec.data.prepared import PreparedData

EPOCHS = 3


@pytest.mark.parametrize(
    "strategy", ["single", "mirrored", "multi_worker_mirrored", "parameter_server"]
)
def test_the_same_template_trains_on_every_strategy(
    shop: Shop, prepared: PreparedData, tmp_path: Path, strategy: str
) -> None:
    job = write_job(shop, prepared, tmp_path, strategy=strategy, workers=2, epochs=EPOCHS)
    run = Watched(job)

    epochs = run.go()

    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
    assert epochs[2].loss < epochs[0].loss
    assert all(math.isfinite(epoch.validation_loss or math.nan) for epoch in epochs)
    assert run.told[-1].step == run.told[-1].steps
    assert any(progress.loss for progress in run.told)
    kept = {file.name.split(".")[0] for file in job.checkpoints.iterdir()} - {""}
    assert kept == {"best", "checkpoint", f"ckpt-{EPOCHS - 1}", f"ckpt-{EPOCHS}"}


def test_workers_in_step_go_on_together_behind_a_checkpoint(
    shop: Shop, prepared: PreparedData, tmp_path: Path
) -> None:
    settings = {"strategy": "multi_worker_mirrored", "workers": 2}
    whole = write_job(shop, prepared, tmp_path / "whole", epochs=3, **settings)
    first = write_job(shop, prepared, tmp_path / "parts", epochs=1, **settings)

    in_one = Watched(whole).go()
    Watched(first).go()
    in_two = Watched(write_job(shop, prepared, first.output, epochs=3, **settings)).go()

    assert [epoch.loss for epoch in in_two] == pytest.approx([epoch.loss for epoch in in_one], 1e-5)
