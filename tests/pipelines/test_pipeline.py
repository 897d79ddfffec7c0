import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from films import make_films
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.pipeline import Pipeline

from tfrec.cli import overrides
from tfrec.errors import UserError
from tfrec.pipelines import pipeline
from tfrec.pipelines.parameters import from_parameter
from tfrec.pipelines.pipeline import build
from tfrec.stages.experiment import Experiment, ExperimentConfig

PREPARATION = {"EventsExampleGen", "ExampleWriter"}

Load = Callable[..., ExperimentConfig]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads the config of a small project, with values changed."""
    monkeypatch.chdir(tmp_path)
    small = make_films(tmp_path)

    def run(**changes: Any) -> ExperimentConfig:
        changed = {name.replace("__", "."): json.dumps(value) for name, value in changes.items()}
        given = overrides.parse(small) | changed
        return Experiment.load("films.yaml", overrides=given).config

    return run


def parameters(pipeline: Pipeline) -> dict[str, str]:
    """What each component is told, but for where its inputs and outputs are."""
    return {node.id: str(sorted(node.exec_properties.items())) for node in pipeline.components}


def told_otherwise(one: Pipeline, other: Pipeline) -> set[str]:
    before, after = parameters(one), parameters(other)
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def test_components_stand_behind_what_they_need(load: Load) -> None:
    names = [node.id for node in build(load()).components]

    for chain in (
        ["EventsExampleGen", "StatisticsGen", "ExampleValidator", "Transform", "ExampleWriter"],
        ["ExampleWriter", "Trainer", "ItemIndexer", "ModelEvaluator", "Pusher"],
        ["ItemIndexer", "BundleExporter", "BundleValidator", "Pusher"],
        ["BundleExporter", "Evaluator", "Pusher"],
        ["BundleExporter", "LastBlessed", "Evaluator"],
    ):
        assert sorted(chain, key=names.index) == chain
    assert "Tuner" not in names


def test_tuner_comes_before_the_trainer_where_there_is_something_to_tune(load: Load) -> None:
    ranges = {"training.epochs": [1, 2]}

    names = [node.id for node in build(load(tuning={"ranges": ranges})).components]

    assert names.index("ExampleWriter") < names.index("Tuner") < names.index("Trainer")


def test_the_same_config_makes_the_same_parameters(load: Load) -> None:
    assert told_otherwise(build(load()), build(load())) == set()


@pytest.mark.parametrize(
    ("change", "components"),
    [
        ({"training__epochs": 3}, {"Trainer"}),
        ({"features__user_id__embedding": 8}, {"Trainer"}),
        ({"features__recent__last": 8}, {*PREPARATION, "SchemaGen", "Transform", "Trainer"}),
        ({"index__promise": {"recall": 0.9}}, {"ItemIndexer"}),
        ({"evaluation__bless": []}, {"ModelEvaluator", "Evaluator"}),
        ({"serving__root": "elsewhere"}, {"ModelEvaluator", "BundleExporter", "Pusher"}),
        ({"pipeline__validation": {"drift": 0.9}}, {"SchemaGen"}),
        ({"pipeline__cache": False}, set()),
    ],
)
def test_only_what_reads_a_section_is_told_of_its_change(
    load: Load, change: dict[str, Any], components: set[str]
) -> None:
    assert told_otherwise(build(load()), build(load(**change))) == components


def test_another_version_of_the_package_makes_all_anew(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build(load())

    monkeypatch.setattr(pipeline, "package_versions", lambda: {"tfrec": "0.0"})

    assert told_otherwise(before, build(load())) == {"EventsExampleGen"}


@pytest.mark.parametrize(
    ("file", "components"),
    [
        ("ratings.parquet", {"EventsExampleGen"}),
        ("model.py", {"Trainer", "BundleExporter"}),
        ("preprocessing.py", {"Transform"}),
    ],
)
def test_a_changed_file_is_another_parameter(load: Load, file: str, components: set[str]) -> None:
    before = build(load())

    if file.endswith(".py"):
        Path(file).write_text(Path(file).read_text() + "\n# changed\n")
    else:
        os.utime(file, (0, 0))

    assert told_otherwise(before, build(load())) == components


def test_elsewhere_nothing_on_this_machine_is_looked_at(load: Load) -> None:
    config = load(data__events__source="/mnt/of/pods/*.parquet", pipeline__root="gs://films/runs")

    built = build(config, local=False)

    assert "LastBlessed" not in [node.id for node in built.components]
    assert built.pipeline_info.pipeline_root == "gs://films/runs/films"
    assert built.metadata_connection_config is None


def test_a_component_runs_on_a_beam_runner_of_its_own(load: Load) -> None:
    flink = {"runner": "FlinkRunner", "flink_master": "jobs:8081"}
    config = load(pipeline__beam={"Transform": flink, "Evaluator": {"direct_num_workers": 2}})

    flags = {
        node.id: list(getattr(node.executor_spec, "beam_pipeline_args", ()))
        for node in build(config).components
        if hasattr(node, "executor_spec")
    }

    assert flags["Transform"] == [
        "--runner=FlinkRunner",
        "--flink_master=jobs:8081",
        "--sdk_container_image=registry.example/films:1",
        "--environment_type=DOCKER",
        "--environment_config=registry.example/films:1",
    ]
    assert flags["Evaluator"][1:] == ["--direct_num_workers=2", "--sdk_container_image=none"]
    assert flags["StatisticsGen"] == []


def test_the_engine_of_preparation_gets_the_image_too(load: Load) -> None:
    spark = {"runner": "SparkRunner", "spark_master_url": "spark://shop:7077"}

    told = {node.id: node.exec_properties for node in build(load(data__beam=spark)).components}

    for name in PREPARATION:
        assert from_parameter(told[name]["config"])["data"]["beam"] == {
            **spark,
            "sdk_container_image": "registry.example/films:1",
            "environment_type": "DOCKER",
            "environment_config": "registry.example/films:1",
        }


@pytest.mark.parametrize(
    ("field", "value"),
    [("data.beam", {}), ("pipeline.beam.Transform", {"flink_master": "jobs:8081"})],
)
def test_workers_without_an_image_are_refused(
    load: Load, field: str, value: dict[str, str]
) -> None:
    engine = {field.replace(".", "__"): {"runner": "FlinkRunner", **value}}
    config = load(pipeline__kubeflow=None, **engine)

    with pytest.raises(UserError, match=rf"^{re.escape(field)}: the workers of FlinkRunner need"):
        build(config)


@pytest.mark.parametrize(
    ("volume", "file"),
    [
        ({"claim": "films", "path": "/data"}, "/data/films/training_statistics.pb"),
        ({"claim": "films", "path": "/data", "artifacts": False}, ""),
        (None, ""),
    ],
)
def test_on_kubeflow_data_are_compared_with_the_last_run_by_the_volume(
    load: Load, volume: dict[str, Any] | None, file: str
) -> None:
    built = build(load(pipeline__kubeflow__volume=volume), local=False)

    (validator,) = (node for node in built.components if node.id == "ExampleValidator")
    assert validator.exec_properties["last_run"] == file


def test_the_projects_runners_hand_its_pipeline_on(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    load()  # is in the project's folder from here on
    config = Path("films.yaml")
    local = config.read_text()
    for table in ("ratings", "items"):
        local = local.replace(f"dataset://movielens_100k/{table}", f"{table}.parquet")
    config.write_text(local)
    handed: list[Pipeline] = []
    monkeypatch.setattr(LocalDagRunner, "run", lambda _, pipeline: handed.append(pipeline))
    monkeypatch.setattr(sys, "argv", ["run_kubeflow.py", "compiled.yaml"])

    runpy.run_path("run_local.py", run_name="__main__")
    runpy.run_path("run_kubeflow.py", run_name="__main__")

    assert [made.id for made in handed] == ["films"]
    assert "schemaVersion: 2.1.0" in Path("compiled.yaml").read_text()


def test_importing_the_package_and_its_commands_imports_no_tfx() -> None:
    code = (
        "import sys, tfrec, tfrec.cli.main; "
        "print({name.split('.')[0] for name in sys.modules} "
        "& {'tfx', 'kfp', 'kubernetes', 'ml_metadata', 'tensorflow'})"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"
