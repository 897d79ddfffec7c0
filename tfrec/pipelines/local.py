"""Running a pipeline on this machine."""

import datetime
import shutil
import time
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from absl import logging
from tfx.dsl.compiler.constants import PIPELINE_RUN_ID_PARAMETER_NAME
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.portable.beam_executor_operator import BeamExecutorOperator
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.orchestration.portable.launcher import Launcher
from tfx.orchestration.portable.python_executor_operator import PythonExecutorOperator
from tfx.orchestration.portable.runtime_parameter_utils import substitute_runtime_parameter
from tfx.proto.orchestration.executable_spec_pb2 import (
    BeamExecutableSpec,
    PythonClassExecutableSpec,
)

from tfrec.deploy.submitters import make_leading_submitter
from tfrec.errors import UserError
from tfrec.pipelines.joining import joinable
from tfrec.pipelines.pipeline import build
from tfrec.pipelines.reporting import reporter, reporting_to
from tfrec.stages.artifact import left_unfinished
from tfrec.stages.experiment import ExperimentConfig
from tfrec.stages.reporter import Reporter
from tfrec.training.existing_cluster import ExistingCluster


class ComponentRun(NamedTuple):
    """A component that ran.

    Attributes:
      name: as TFX shows it.
      seconds: that it took.
      cached: whether its outputs are those of an earlier run.
    """

    name: str
    seconds: float
    cached: bool


def run(config: ExperimentConfig, listener: Reporter | None = None) -> list[ComponentRun]:
    """Runs the pipeline of an experiment in this process, one component after the other.

    What an earlier run made of the same inputs and config is not made again, also where that run
    failed later on.

    Args:
      config: the experiment.
      listener: hears of progress; a component is a stage to it.

    Returns:
      The components in their order.

    Raises:
      UserError: what a component says of the config or the data, that the model is not blessed, or
        that this process does not lead the cluster that is to train.
    """
    if "://" in config.pipeline.root:
        raise UserError(
            f"pipeline.root: {config.pipeline.root}: this machine keeps artefacts in a directory; "
            "name one, e.g. --pipeline.root pipeline, or submit the pipeline to Kubeflow"
        )
    logging.set_verbosity(logging.FATAL)  # what goes wrong is raised
    runner = _Runner()
    with _open_to_helpers(config), reporting_to(listener or Reporter()):
        runner.run(build(config))
    return runner.made


def _open_to_helpers(config: ExperimentConfig) -> AbstractContextManager[None]:
    """Lets the other tasks of a cluster join, where training is to run in one."""
    if config.pipeline.training_on != "tf_config":
        return nullcontext()
    leader = make_leading_submitter(config.pipeline, config.name)
    assert isinstance(leader, ExistingCluster)
    leader.check(config.training)
    return joinable(Path(config.pipeline.root_of(config.name)).resolve())


class _Runner(LocalDagRunner):
    """Tells of each component as it comes, which TFX's own runner does not."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[ComponentRun] = []

    def run_with_ir(self, pipeline: Any, run_options: Any = None) -> None:
        run_id = datetime.datetime.now(datetime.timezone.utc).isoformat()
        substitute_runtime_parameter(pipeline, {PIPELINE_RUN_ID_PARAMETER_NAME: run_id})
        deployment = runner_utils.extract_local_deployment_config(pipeline)
        kinds = deployment.metadata_connection_config
        connection = getattr(kinds, kinds.WhichOneof("connection_config"))
        for node in pipeline.nodes:
            name = node.pipeline_node.node_info.id
            executor = runner_utils.extract_executor_spec(deployment, name)  # none of a resolver
            launcher = Launcher(
                node.pipeline_node,
                metadata.Metadata(connection),
                pipeline.pipeline_info,
                pipeline.runtime_spec,
                executor,
                runner_utils.extract_custom_driver_spec(deployment, name),
                custom_executor_operators=_OPERATORS,
            )
            reporter().stage(name)
            began = time.monotonic()
            try:
                info = launcher.launch()
            except UserError as error:
                error.args = (f"{name}: {error}",)
                raise
            cached = executor is not None and not info.execution_output_uri
            self.made.append(ComponentRun(name, time.monotonic() - began, cached))


class _Python(PythonExecutorOperator):
    def run_executor(self, execution_info: ExecutionInfo) -> Any:
        reporter().step("running")
        for output in chain.from_iterable(execution_info.output_dict.values()):
            # Executions that failed left it; their numbers were the names of their outputs.
            for left in left_unfinished(Path(output.uri).with_name("[0-9]*")):
                shutil.rmtree(left)
        return super().run_executor(execution_info)


class _Beam(BeamExecutorOperator):
    def run_executor(self, *arguments: Any) -> Any:
        reporter().step("running")
        return super().run_executor(*arguments)


_OPERATORS = {PythonClassExecutableSpec: _Python, BeamExecutableSpec: _Beam}
