from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shop import Shop
from tfx.types.artifact import Artifact
from tfx.types.standard_artifacts import Model

from tfrec.config import validate
from tfrec.data import prepared as data
from tfrec.errors import UserError
from tfrec.pipelines.artifacts import PreparedData
from tfrec.pipelines.components import trainer
from tfrec.pipelines.parameters import to_parameter
from tfrec.stages.experiment import ExperimentConfig
from tfrec.stages.train import TrainedModel
from tfrec.training.checkpoints import latest, saved_steps
from tfrec.training.config import TrainingConfig
from tfrec.training.job import TrainingJob
from tfrec.training.trainer import train

Execute = Callable[[int], TrainedModel]


def artifact(kind: type[Artifact], path: Path) -> Artifact:
    made = kind()
    made.uri = str(path)
    return made


@pytest.fixture
def execute(shop: Shop, prepared: data.PreparedData, tmp_path: Path) -> Execute:
    """Runs the component as TFX does: each execution's output has its number for a name."""
    content = shop.config(training={"epochs": 2})

    def call(number: int) -> TrainedModel:
        config = validate(ExperimentConfig, content)
        output = tmp_path / "Trainer" / "model" / str(number)
        output.mkdir(parents=True)
        trainer.Trainer.test_call(
            config=to_parameter(config, "training", "model", "features"),
            submitter=to_parameter(config, "name", pipeline={}),
            sources="",
            prepared=artifact(PreparedData, prepared.path),
            model=artifact(Model, output),
        )
        return TrainedModel(output)

    return call


def test_another_execution_goes_on_behind_the_checkpoint_of_one_that_failed(
    execute: Execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    told: list[int] = []

    def fail_half_way(config: TrainingConfig, file: Path, *_: Any) -> None:
        job = TrainingJob.read(file.parent)
        half = config.model_copy(update={"epochs": config.epochs // 2})
        train(job.model_copy(update={"training": half}), lambda progress: None)
        saved.append(saved_steps(latest(job.checkpoints)))
        raise UserError("the machine went away")

    def go_on(config: TrainingConfig, file: Path, *_: Any) -> None:
        train(TrainingJob.read(file.parent), lambda progress: told.append(progress.step))

    submitters = iter((fail_half_way, go_on))
    monkeypatch.setattr(trainer, "make_leading_submitter", lambda *_: next(submitters))

    with pytest.raises(UserError, match="the machine went away"):
        execute(5)
    model = execute(6)

    assert min(told) >= saved[0]
    assert max(told) == 2 * saved[0]
    assert [epoch["epoch"] for epoch in model.manifest.summary["epochs"]] == [1, 2]
    left = {path.name for path in (tmp_path / "Trainer" / "model").iterdir()}
    assert left == {"5", "6"}
