"""Runs a compiled pipeline as open-source Kubeflow Pipelines would, without a cluster.

Its driver resolves a task's inputs and leaves out their types; its launcher copies inputs from the
object store to folders of the pod, fills in the command line, runs it, and copies outputs back.
Here the object store and each pod are directories.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from google.protobuf import json_format
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import (
    ExecutorInput,
    ExecutorOutput,
    RuntimeArtifact,
)

from tfrec.pipelines.kubeflow.compiled import Compiled
from tfrec.pipelines.kubeflow.locations import ROOT_VARIABLE

TESTS = Path(__file__).parent
FOLDERS = {"gs": "gcs", "s3": "s3", "minio": "minio"}
TIMEOUT_SECONDS = 900


class TaskRun(NamedTuple):
    """A task that ended well, how long it took, and what it made."""

    task: str
    seconds: float
    outputs: Mapping[str, RuntimeArtifact]


class TaskFailedError(Exception):
    """A task ended with another exit status than 0."""

    def __init__(self, task: str, status: int, log: str) -> None:
        super().__init__(f"{task} ended with status {status}\n{log[-4000:]}")
        self.task, self.status, self.log = task, status, log


class ForkingLauncher(AbstractContextManager):
    """Runs `python -m MODULE` in forks of one process that has imported what is heavy."""

    def __enter__(self) -> "ForkingLauncher":
        self._process = subprocess.Popen(
            [sys.executable, str(TESTS / "forking_launcher.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(120)

    def __call__(self, command: Sequence[str], env: Mapping[str, str], log: Path) -> int:
        python, option, *argv = command
        assert (python, option) == ("python", "-m")
        line = {"argv": argv, "env": dict(env), "log": str(log)}
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def start_process(command: Sequence[str], env: Mapping[str, str], log: Path) -> int:
    """Runs a command line as a process of its own."""
    command = [sys.executable if command[0] == "python" else command[0], *command[1:]]
    with log.open("a") as file:
        return subprocess.run(
            command, env=env, stdout=file, stderr=file, timeout=TIMEOUT_SECONDS, check=False
        ).returncode


class Backend:
    """An object store, and pods, below a directory."""

    def __init__(self, folder: Path, secrets: Mapping[str, Mapping[str, str]] | None = None):
        self.folder, self.secrets = folder, secrets or {}
        self.artifacts: dict[tuple[str, str], RuntimeArtifact] = {}

    def run(self, compiled: Compiled, launch=start_process) -> list[TaskRun]:
        """Runs all tasks in their order.

        Raises:
          TaskFailedError: as soon as one fails.
        """
        return [self._run(compiled, task, launch) for task in compiled.order]

    def _run(self, compiled: Compiled, task: str, launch) -> TaskRun:
        began = time.perf_counter()
        pod, logs = self.folder / "pod", self.folder / "logs"
        shutil.rmtree(pod, ignore_errors=True)  # each task's pod is a new one
        (pod / "kfp_outputs").mkdir(parents=True)
        logs.mkdir(exist_ok=True)
        given = self._resolve(compiled, task, pod)
        for artifact in _each(given.inputs.artifacts):
            self._download(artifact.uri, pod)
        for artifact in _each(given.outputs.artifacts):
            _local(artifact.uri, pod).parent.mkdir(parents=True, exist_ok=True)
        container, log = compiled.container(task), logs / f"{task}.txt"
        filled = _placeholders(given, pod)
        command = [_fill(part, filled) for part in (*container.command, *container.args)]
        # A real pod has the launcher's folders at /; here they are below its directory.
        env = {ROOT_VARIABLE: str(pod), **self.environment(compiled, task)}
        status = launch(command, env, log)
        if status:
            raise TaskFailedError(task, status, log.read_text())
        outputs = self._publish(task, given, pod)
        return TaskRun(task, time.perf_counter() - began, outputs)

    def _resolve(self, compiled: Compiled, task: str, pod: Path) -> ExecutorInput:
        """The driver: inputs as the metadata store returns them, and where outputs go."""
        spec, given = compiled.tasks[task], ExecutorInput()
        for key, source in spec.inputs.artifacts.items():
            of = source.task_output_artifact
            artifact = given.inputs.artifacts[key].artifacts.add()
            artifact.CopyFrom(self.artifacts[of.producer_task, of.output_artifact_key])
            artifact.ClearField("type")
        for key, parameter in spec.inputs.parameters.items():
            assert parameter.WhichOneof("kind") == "runtime_value"
            given.inputs.parameter_values[key].CopyFrom(parameter.runtime_value.constant)
        component = compiled.spec.components[spec.component_ref.name]
        root = compiled.spec.default_pipeline_root or "minio://mlpipeline/v2/artifacts"
        folder = f"{root}/{compiled.spec.pipeline_info.name}/run-1/{task}"
        for key, output in component.output_definitions.artifacts.items():
            artifact = given.outputs.artifacts[key].artifacts.add(uri=f"{folder}/{key}")
            artifact.type.CopyFrom(output.artifact_type)
            if output.HasField("metadata"):
                artifact.metadata.CopyFrom(output.metadata)
        given.outputs.output_file = str(pod / "kfp_outputs" / "output_metadata.json")
        return given

    def environment(self, compiled: Compiled, task: str) -> dict[str, str]:
        """A pod's variables: those of the container, and of secrets that it names."""
        executors = compiled.platform.platforms["kubernetes"].deployment_spec.executors
        label = compiled.spec.components[task].executor_label
        settings = json_format.ParseDict(
            json_format.MessageToDict(executors[label]), KubernetesExecutorConfig()
        )
        secret = {
            key.env_var: self.secrets[secret.secret_name][key.secret_key]
            for secret in settings.secret_as_env
            for key in secret.key_to_env
        }
        own = {variable.name: variable.value for variable in compiled.container(task).env}
        return {**os.environ, "PYTHONPATH": str(TESTS), **own, **secret}

    def _publish(self, task: str, given: ExecutorInput, pod: Path) -> dict[str, RuntimeArtifact]:
        """The launcher's end: reads what the executor said, uploads, and records."""
        output_file = Path(given.outputs.output_file)
        said = json_format.Parse(output_file.read_text(), ExecutorOutput())
        outputs = {}
        for key, listed in given.outputs.artifacts.items():
            artifact = listed.artifacts[0]
            if said.artifacts[key].artifacts:
                told = said.artifacts[key].artifacts[0]
                artifact.uri = told.uri or artifact.uri
                artifact.metadata.MergeFrom(told.metadata)
            assert all(value.WhichOneof("kind") for value in artifact.metadata.fields.values())
            self._upload(artifact.uri, pod)
            artifact.name = f"projects/artifacts/{len(self.artifacts) + 1}"
            artifact.metadata["display_name"] = key
            self.artifacts[task, key] = outputs[key] = artifact
        return outputs

    def _upload(self, uri: str, pod: Path) -> None:
        """Copies files, as the launcher does: empty directories are lost."""
        local = _local(uri, pod)
        for path in [local] if local.is_file() else local.rglob("*"):
            if path.is_symlink() and path.is_dir():
                raise IsADirectoryError(f"{path}: the launcher cannot upload a linked directory")
            if path.is_file():
                target = self.stored(uri) / path.relative_to(local)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)

    def _download(self, uri: str, pod: Path) -> None:
        if self.stored(uri).exists():
            shutil.copytree(self.stored(uri), _local(uri, pod))

    def stored(self, uri: str) -> Path:
        """Where the object store keeps what a URI names."""
        scheme, _, key = uri.partition("://")
        assert scheme in FOLDERS
        return self.folder / "store" / scheme / key


def summary(runs: Sequence[TaskRun]) -> str:
    """A line per task: name, seconds, outputs."""
    return "\n".join(
        f"{run.task:<20} {run.seconds:6.1f} s  {', '.join(sorted(run.outputs))}" for run in runs
    )


def _each(artifacts) -> list[RuntimeArtifact]:
    return [artifact for listed in artifacts.values() for artifact in listed.artifacts]


def _local(uri: str, pod: Path) -> Path:
    scheme, _, key = uri.partition("://")
    return pod / FOLDERS[scheme] / key


def _placeholders(given: ExecutorInput, pod: Path) -> dict[str, str]:
    filled = {"{{$}}": json_format.MessageToJson(given, indent=None)}
    for side in ("inputs", "outputs"):
        for key, listed in getattr(given, side).artifacts.items():
            name, uri = f"{{{{$.{side}.artifacts['{key}']", listed.artifacts[0].uri
            filled[f"{name}.uri}}}}"] = uri
            filled[f"{name}.path}}}}"] = str(_local(uri, pod))
    return filled


def _fill(part: str, filled: Mapping[str, str]) -> str:
    for placeholder, value in filled.items():
        part = part.replace(placeholder, value)
    return part
