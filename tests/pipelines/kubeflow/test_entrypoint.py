"""What a pod runs, on a pipeline of three small components."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import ExecutorInput
from kubeflow_backend import Backend, TaskFailedError, start_process
from toy_pipeline import toy_pipeline

from tfrec.deploy.kubeflow_config import KubeflowConfig
from tfrec.pipelines.kubeflow import entrypoint
from tfrec.pipelines.kubeflow.compile import compile_pipeline
from tfrec.pipelines.kubeflow.compiled import Compiled
from tfrec.pipelines.kubeflow.locations import local_path


def in_this_process(command: Sequence[str], env: Mapping[str, str], log: Path) -> int:
    assert command[:3] == ["python", "-m", entrypoint.__name__]
    entrypoint.run(command[3:], Path(env["TFREC_ARTIFACTS"]))
    return 0


def compiled(refuse: str = "", **section) -> Compiled:
    config = KubeflowConfig(image="tfrec:1", **section)
    return compile_pipeline(toy_pipeline(refuse=refuse), config)


def test_a_pipeline_runs_on_artefacts_without_types_in_an_object_store(tmp_path: Path) -> None:
    backend = Backend(tmp_path)
    runs = backend.run(compiled(root="gs://shop/runs"), in_this_process)
    assert [run.task for run in runs] == ["WriteExamples", "StatisticsGen", "Measure"]
    made = runs[-1].outputs["evaluation"]
    assert made.uri == "gs://shop/runs/toy/run-1/Measure/evaluation"
    assert made.metadata["splits"] == '["train"]'
    stored = backend.stored(made.uri) / "versions"
    assert (stored / "1" / "found.txt").read_text() == "Split-train"
    assert (stored / "last" / "found.txt").read_text() == "Split-train"


def test_on_a_volume_nothing_is_copied_to_the_object_store(tmp_path: Path) -> None:
    volume = tmp_path / "claim"
    volume.mkdir()
    made = compiled(volume={"claim": "artefacts", "path": str(volume)})
    runs = Backend(tmp_path / "backend").run(made, in_this_process)
    uri = runs[-1].outputs["evaluation"].uri
    assert uri == "minio://mlpipeline/v2/artifacts/toy/run-1/Measure/evaluation"
    assert Path(local_path(uri, volume), "versions/last/found.txt").read_text() == "Split-train"
    assert not (tmp_path / "backend" / "store").exists()


def test_a_task_that_is_tried_again_on_a_volume_begins_anew(tmp_path: Path) -> None:
    volume = tmp_path / "claim"
    volume.mkdir()
    made = compiled(volume={"claim": "artefacts", "path": str(volume)})

    def launch(command: Sequence[str], env: Mapping[str, str], log: Path) -> int:
        in_this_process(command, env, log)
        for file in [*volume.rglob("*.txt")]:
            file.with_name("half_written").touch()
        return in_this_process(command, env, log)

    runs = Backend(tmp_path / "backend").run(made, launch)

    evaluation = Path(local_path(runs[-1].outputs["evaluation"].uri, volume))
    assert (evaluation / "versions" / "last" / "found.txt").read_text() == "Split-train"
    assert not [*evaluation.rglob("half_written")]


def test_linked_directories_are_copied_where_files_cannot_be_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    backend = Backend(tmp_path)

    runs = backend.run(compiled(root="gs://shop/runs"), in_this_process)

    stored = backend.stored(runs[-1].outputs["evaluation"].uri)
    assert (stored / "versions" / "last" / "found.txt").read_text() == "Split-train"


def test_a_process_of_its_own_ends_with_the_status_of_what_a_user_can_mend(tmp_path: Path) -> None:
    backend, made = Backend(tmp_path), compiled("too few rows; add some")

    def launch(command: Sequence[str], env: Mapping[str, str], log: Path) -> int:
        own = "MeasureExecutor" in " ".join(command)
        return (start_process if own else in_this_process)(command, env, log)

    with pytest.raises(TaskFailedError) as caught:
        backend.run(made, launch)
    assert (caught.value.task, caught.value.status) == ("Measure", 2)
    assert caught.value.log.splitlines()[-1] == "error: measure: too few rows; add some"


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("gs://shop/runs/model", "/gcs/shop/runs/model"),
        ("s3://shop/runs/model", "/s3/shop/runs/model"),
        ("minio://mlpipeline/v2/model", "/minio/mlpipeline/v2/model"),
        ("oci://registry.shop/models:1", "/oci/registry.shop_models:1/models"),
        ("/mnt/model", "/mnt/model"),
        ("https://shop/model", "https://shop/model"),
    ],
)
def test_uris_are_the_launchers_folders(uri: str, path: str) -> None:
    assert local_path(uri) == path


def test_arguments_of_beam_are_handed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = ExecutorInput()
    given.outputs.output_file = str(tmp_path / "output.json")
    seen = []

    def run(parsed: tuple) -> None:
        seen.append(parsed[1])
        (tmp_path / "output.json").write_text("{}")

    monkeypatch.setattr(entrypoint.kubeflow_v2_run_executor, "main", run)
    arguments = [
        "--executor_class_path=toy_pipeline.MeasureExecutor",
        f"--json_serialized_invocation_args={json_format.MessageToJson(given)}",
        "--json_serialized_inputs_spec_args={}",
        "--runner=FlinkRunner",
        "--flink_master=flink:8081",
    ]
    entrypoint.run(arguments, tmp_path)
    assert seen == [["--runner=FlinkRunner", "--flink_master=flink:8081"]]
