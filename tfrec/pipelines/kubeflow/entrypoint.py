"""What a pod of open-source Kubeflow Pipelines runs: one component's executor.

TFX's own entrypoint was written for another backend. This one fills the gaps before it calls it:
the types of artefacts, which the backend leaves out, and their URIs, which its launcher has copied
to folders.
"""

import argparse
import inspect
import logging
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import (
    ArtifactList,
    ComponentInputsSpec,
    ExecutorInput,
    ExecutorOutput,
    RuntimeArtifact,
)
from tfx.orchestration.kubeflow.v2.compiler_utils import TITLE_TO_CLASS_PATH
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor
from tfx.utils.name_utils import get_full_name

from tfrec.errors import UserError
from tfrec.links import link
from tfrec.pipelines import artifacts
from tfrec.pipelines.kubeflow.locations import ROOT_VARIABLE, local_path


def main() -> None:
    """Runs the executor that the command line names, and ends the process at once."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    status = 0
    try:
        run(sys.argv[1:], Path(os.environ.get(ROOT_VARIABLE, "/")))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        status = error.exit_status
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # an orderly exit can crash in the libraries' own threads, after the work


def run(arguments: Sequence[str], root: Path) -> None:
    """Runs an executor.

    Args:
      arguments: as TFX's compiler wrote them, the executor's input filled in by the launcher.
      root: directory that holds the launcher's folders.
    """
    _name_artifact_types()
    parsed, beam_arguments = _parse(arguments)
    given = json_format.Parse(parsed.json_serialized_invocation_args, ExecutorInput())
    specs = json_format.Parse(parsed.json_serialized_inputs_spec_args, ComponentInputsSpec())
    for name, listed in given.inputs.artifacts.items():
        for artifact in listed.artifacts:
            artifact.type.CopyFrom(specs.artifacts[name].artifact_type)
    uris = {}
    for artifact in (*_each(given.inputs.artifacts), *_each(given.outputs.artifacts)):
        local = local_path(artifact.uri, root)
        uris[local], artifact.uri = artifact.uri, local
    made = [Path(artifact.uri) for artifact in _each(given.outputs.artifacts)]
    for path in made:
        _make_empty(path)
    parsed.json_serialized_invocation_args = json_format.MessageToJson(given)
    kubeflow_v2_run_executor.main((parsed, beam_arguments))
    for path in made:
        _replace_linked_directories(path)
    _restore_uris(Path(given.outputs.output_file), uris)


def _name_artifact_types() -> None:
    """Lets TFX find the classes of our artefacts by the names that the compiled pipeline has."""
    for _, kind in inspect.getmembers(artifacts, _is_ours):
        TITLE_TO_CLASS_PATH[kind.TYPE_NAME] = get_full_name(kind)


def _is_ours(member: Any) -> bool:
    return inspect.isclass(member) and member.__module__ == artifacts.__name__


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """TFX's three arguments, and Beam's."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args", required=True)
    return parser.parse_known_args(arguments)


def _each(artifacts: Mapping[str, ArtifactList]) -> Iterable[RuntimeArtifact]:
    for listed in artifacts.values():
        yield from listed.artifacts


def _make_empty(directory: Path) -> None:
    """Makes an output's directory, as TFX's own runners do, without what a failed attempt left."""
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)


def _replace_linked_directories(made: Path) -> None:
    """Puts hard links of files in the place of linked directories, at which the launcher fails."""
    linked = [path for path in made.rglob("*") if path.is_symlink() and path.is_dir()]
    for path in linked:
        target = path.resolve()
        path.unlink()
        shutil.copytree(target, path, copy_function=link)


def _restore_uris(output_file: Path, uris: dict[str, str]) -> None:
    """Names outputs by the URIs that the backend gave them."""
    written = json_format.Parse(output_file.read_text(), ExecutorOutput())
    for artifact in _each(written.artifacts):
        artifact.uri = uris.get(artifact.uri, artifact.uri)
    output_file.write_text(json_format.MessageToJson(written))


if __name__ == "__main__":
    main()
