from pathlib import Path

import pytest

from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.features import FeatureSpec
from tfrec.models.template import ModelConfig
from tfrec.stages.artifact import Artifact
from tfrec.training.config import TrainingConfig
from tfrec.training.job import TrainingJob


@pytest.fixture
def job(prepared: PreparedData, spec: FeatureSpec, tmp_path: Path) -> TrainingJob:
    return TrainingJob(
        features=spec,
        model=ModelConfig.model_validate({"embedding_dim": 6, "temperature": 0.5}),
        training=TrainingConfig(recency_half_life="3d"),
        prepared=prepared.path,
        output=tmp_path,
    )


def test_job_is_the_same_after_a_way_through_json(job: TrainingJob) -> None:
    read = TrainingJob.model_validate_json(job.model_dump_json())

    assert read == job
    assert read.model.settings == {"embedding_dim": 6, "temperature": 0.5}
    assert read.training.recency_half_life == 3 * 86_400


def test_model_is_made_for_the_prepared_data(job: TrainingJob) -> None:
    model = job.build_model()

    shapes = {tuple(weight.shape) for weight in model.trainable_weights}
    tables = {(41 + 119, 8), (7, 4), (3 + 8, 2)}
    assert shapes == tables | {(20, 6), (12, 6), (6,)}
    assert model.settings.temperature == 0.5


def test_training_examples_are_the_events_of_the_training_part(
    job: TrainingJob, prepared: PreparedData
) -> None:
    split = Artifact(prepared.path).manifest.summary["examples"]
    assert job.example_files(TRAIN).examples == split["train"]
