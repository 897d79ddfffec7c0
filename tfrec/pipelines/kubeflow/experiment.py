"""A config -> the file that Kubeflow runs."""

from pathlib import PurePosixPath

from tfrec.deploy.kubeflow_config import KubeflowConfig, Volume
from tfrec.errors import UserError
from tfrec.pipelines.kubeflow.compile import compile_pipeline
from tfrec.pipelines.kubeflow.compiled import Compiled
from tfrec.pipelines.pipeline import build
from tfrec.stages.experiment import ExperimentConfig


def compile_experiment(config: ExperimentConfig) -> Compiled:
    """Compiles the pipeline of an experiment.

    Args:
      config: the experiment; its paths are those of the pods.

    Returns:
      The pipeline.

    Raises:
      UserError: if the config does not say how to run on Kubeflow, or something would be lost with
        its pod that others look for.
    """
    kubeflow = kubeflow_section(config)
    _check_kept(config, kubeflow.volume)
    _check_trained(config, kubeflow)
    return compile_pipeline(build(config, local=False), kubeflow)


def kubeflow_section(config: ExperimentConfig) -> KubeflowConfig:
    """The section `pipeline.kubeflow`.

    Raises:
      UserError: if the config has none.
    """
    if config.pipeline.kubeflow is None:
        raise UserError(
            "pipeline.kubeflow: missing; give at least the image that components run in, e.g. "
            "--pipeline.kubeflow.image registry.example/tfrec:1"
        )
    return config.pipeline.kubeflow


def _check_kept(config: ExperimentConfig, volume: Volume | None) -> None:
    """Checks that what outlives its pod is on the volume."""
    root = PurePosixPath(config.serving.root)
    if volume is None or not root.is_relative_to(volume.path):
        where = f"one below {volume.path}" if volume else "one on a pipeline.kubeflow.volume"
        raise UserError(
            f"serving.root: {str(root)!r}: lies in the pod and is lost with it; give {where}, "
            "which the servers mount too"
        )
    if config.pipeline.warm_start and not volume.artifacts:
        raise UserError(
            "pipeline.warm_start: the next run would not find the trained model; keep artefacts on "
            "the claim: pipeline.kubeflow.volume.artifacts: true"
        )


def _check_trained(config: ExperimentConfig, kubeflow: KubeflowConfig) -> None:
    """Checks that a job's replicas read and write where the component that follows it does."""
    if config.pipeline.training_on == "tf_config":
        raise UserError(
            "pipeline.training_on: tf_config: Trainer's pod would be in no cluster; take tfjob, "
            "which makes one for each training"
        )
    job, volume = config.pipeline.tfjob, kubeflow.volume
    if config.pipeline.training_on != "tfjob" or job is None or volume is None:
        return
    same = (job.volume.claim, job.volume.path) == (volume.claim, volume.path)
    if not (same and volume.artifacts):
        raise UserError(
            "pipeline.tfjob.volume: its replicas would not find the prepared data; mount "
            f"{volume.claim} at {volume.path}, as pipeline.kubeflow.volume, artifacts: true"
        )
    if kubeflow.namespace and job.namespace != kubeflow.namespace:
        raise UserError(
            f"pipeline.tfjob.namespace: {job.namespace!r}: claim {volume.claim} is in "
            f"{kubeflow.namespace!r}, the namespace of pipeline.kubeflow; give that"
        )
