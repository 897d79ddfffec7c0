"""Negatives from the whole catalogue, where batches are shared and where reading is taken up."""

import math
from pathlib import Path
from typing import Any

import pytest
from jobs import Watched, job_file, write_job
from shop import Shop

from tfrec.data.prepared import PreparedData
from tfrec.models.template import ModelConfig
from tfrec.training.job import TrainingJob

SAMPLED = {
    "template": "tfrec.models.TwoTower",
    "embedding_dim": 8,
    "uniform_negatives": 33,
    "hard_negatives": 30,
    "item_frequency": "streaming",
}


def write(shop: Shop, prepared: PreparedData, folder: Path, **training: Any) -> TrainingJob:
    job = write_job(shop, prepared, folder, **training)
    job = job.model_copy(update={"model": ModelConfig.model_validate(SAMPLED)})
    job_file(job).write_text(job.model_dump_json())
    return job


def test_sampled_negatives_are_shared_by_workers_in_step(
    shop: Shop, prepared: PreparedData, tmp_path: Path
) -> None:
    job = write(shop, prepared, tmp_path, strategy="multi_worker_mirrored", workers=2, epochs=3)

    epochs = Watched(job).go()

    assert epochs[2].loss < epochs[0].loss
    assert all(math.isfinite(epoch.validation_loss or math.nan) for epoch in epochs)


def test_training_that_is_taken_up_again_draws_what_it_would_have_drawn(
    shop: Shop, prepared: PreparedData, tmp_path: Path
) -> None:
    alone = {"strategy": "single"}
    in_one = Watched(write(shop, prepared, tmp_path / "whole", epochs=3, **alone)).go()
    first = write(shop, prepared, tmp_path / "parts", epochs=1, **alone)
    Watched(first).go()

    in_two = Watched(write(shop, prepared, first.output, epochs=3, **alone)).go()

    assert [epoch.loss for epoch in in_two] == pytest.approx([epoch.loss for epoch in in_one], 1e-5)
