"""What is not seen in the whole run of `tests/integration/test_pipeline.py`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from shop import Shop
from tfx.types.artifact import Artifact
from tfx.types.standard_artifacts import HyperParameters, Model, TransformGraph

from tfrec.config import override, validate
from tfrec.data import prepared as data
from tfrec.pipelines.artifacts import CleanedEvents, PreparedData
from tfrec.pipelines.components import example_writer, trainer, tuner
from tfrec.pipelines.parameters import to_parameter
from tfrec.stages import artifact as stages
from tfrec.stages.experiment import ExperimentConfig
from tfrec.stages.going_on import GOES_ON, Learned
from tfrec.stages.tune import Tuned


@pytest.fixture
def config(shop: Shop) -> ExperimentConfig:
    ranges = {"training.epochs": [1, 7]}
    return validate(ExperimentConfig, {**shop.config(), "tuning": {"ranges": ranges}})


def artifact(kind: type[Artifact], path: Path) -> Artifact:
    made = kind()
    made.uri = str(path)
    return made


@pytest.mark.parametrize(("tuned", "epochs"), [(False, 2), (True, 7)])
def test_trainer_takes_the_tuners_values_where_there_are_some(
    config: ExperimentConfig,
    shop: Shop,
    prepared: data.PreparedData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tuned: bool,
    epochs: int,
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(trainer, "train", lambda *arguments, **_: asked.extend(arguments))
    best = override(shop.config(), {"training.epochs": "7"})
    Tuned(tmp_path).best.write_text(yaml.safe_dump(best))

    trainer.Trainer.test_call(
        config=to_parameter(config, "training", "model", "features"),
        submitter=to_parameter(config, "name", pipeline={}),
        sources="",
        prepared=artifact(PreparedData, prepared.path),
        model=artifact(Model, tmp_path / "model"),
        **({"best": artifact(HyperParameters, tmp_path)} if tuned else {}),
    )

    training, model, features, learned_from, output, *_ = asked
    assert training.epochs == epochs
    assert model == config.model
    assert features == config.features
    assert learned_from.path == prepared.path
    assert output == tmp_path / "model"


def test_prepared_data_say_which_model_they_are_the_sequel_of(
    config: ExperimentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned_from: list[Learned | None] = []

    def prepare_cleaned(*arguments: Any) -> stages.Artifact:
        learned_from.append(arguments[-1])
        summary = {GOES_ON: arguments[-1]._asdict()}
        return stages.produce("prepare", {}, {}, arguments[4], lambda _: summary)

    monkeypatch.setattr(example_writer, "prepare_cleaned", prepare_cleaned)
    extra = tmp_path / "serving" / "7" / "assets.extra"
    extra.mkdir(parents=True)
    learned = Learned(str(tmp_path), until=5)
    (extra / "tfrec_learned.json").write_text(json.dumps(learned._asdict()))
    goes_on = {"served": str(tmp_path / "serving"), "learned": ""}
    prepared = artifact(PreparedData, tmp_path / "prepared")

    example_writer.ExampleWriter.test_call(
        config=to_parameter(config, "data", "features", goes_on=goes_on),
        cleaned=artifact(CleanedEvents, tmp_path / "cleaned"),
        transform_graph=artifact(TransformGraph, tmp_path / "graph"),
        prepared=prepared,
    )

    assert learned_from == [learned]
    assert prepared.get_string_custom_property(GOES_ON) == str(tmp_path)


def test_tuner_makes_trials_of_the_prepared_data_at_its_output(
    config: ExperimentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def tune(content: Mapping[str, Any], _: Any, **places: Any) -> None:
        asked.update(places, config=validate(ExperimentConfig, content))

    monkeypatch.setattr(tuner, "tune", tune)

    tuner.Tuner.test_call(
        config=to_parameter(config, *ExperimentConfig.model_fields),
        sources="",
        prepared=artifact(PreparedData, tmp_path / "prepared"),
        best=artifact(HyperParameters, tmp_path / "best"),
    )

    assert asked["prepared"].path == tmp_path / "prepared"
    assert asked["output"] == tmp_path / "best"
    assert asked["config"] == config
