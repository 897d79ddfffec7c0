"""A TFX pipeline -> the file that open-source Kubeflow Pipelines runs."""

import re
from collections.abc import Iterable

from google.protobuf import json_format
from kfp.kubernetes.kubernetes_executor_config_pb2 import (
    KubernetesExecutorConfig,
    NodeSelector,
    PvcMount,
    SecretAsEnv,
    SecretAsVolume,
)
from kfp.pipeline_spec.pipeline_spec_pb2 import (
    PipelineDeploymentConfig,
    PipelineSpec,
    PipelineTaskSpec,
    PlatformSpec,
)
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import (
    KubeflowV2DagRunner,
    KubeflowV2DagRunnerConfig,
)
from tfx.orchestration.pipeline import Pipeline

from tfrec.deploy.kubeflow_config import KubeflowConfig, Secret, TaskSettings
from tfrec.errors import UserError
from tfrec.pipelines.kubeflow.compiled import Compiled
from tfrec.pipelines.kubeflow.locations import ROOT_VARIABLE

_ENTRYPOINT = ("python", "-m", "tfrec.pipelines.kubeflow.entrypoint")
_KEY = SecretAsEnv.SecretKeyToEnvMap
_BACKOFF_SECONDS = 30


def compile_pipeline(pipeline: Pipeline, config: KubeflowConfig) -> Compiled:
    """Compiles a pipeline for open-source Kubeflow Pipelines, 2.0 and later.

    Args:
      pipeline: without resolvers, which that backend cannot run. It gets a name that Kubeflow
        takes: small letters, digits and `-`.
      config: the `pipeline.kubeflow` section.

    Returns:
      The pipeline and its pods.

    Raises:
      UserError: if the pipeline has a resolver, or the config names a component that it does not
        have.
    """
    _check(pipeline, config)
    info = pipeline.pipeline_info
    info.pipeline_name = re.sub("[^a-z0-9]+", "-", info.pipeline_name.lower()).strip("-")
    runner = KubeflowV2DagRunner(
        KubeflowV2DagRunnerConfig(
            default_image=config.image,
            default_commands=list(_ENTRYPOINT),
            use_pipeline_spec_2_1=True,
        )
    )
    content = runner.run(pipeline, write_out=False)["pipelineSpec"]
    deployment = json_format.ParseDict(content.pop("deploymentSpec"), PipelineDeploymentConfig())
    compiled = Compiled(json_format.ParseDict(content, PipelineSpec()), deployment, PlatformSpec())
    root = config.root or info.pipeline_root
    if "://" in root:
        compiled.spec.default_pipeline_root = root
    for name, task in compiled.tasks.items():
        settings = config.task(name)
        _settle(task, settings, pipeline.enable_cache)
        _equip(compiled.container(name), settings, config)
        pod = _pod(settings, config)
        if pod.ListFields():
            label = compiled.spec.components[name].executor_label
            executors = compiled.platform.platforms["kubernetes"].deployment_spec.executors
            json_format.ParseDict(json_format.MessageToDict(pod), executors[label])
    return compiled


def _check(pipeline: Pipeline, config: KubeflowConfig) -> None:
    names = [component.id for component in pipeline.components]
    for name in config.components:
        if name not in names:
            raise UserError(
                f"pipeline.kubeflow.components.{name}: no component of this pipeline; "
                f"those are {', '.join(names)}"
            )
    for component in pipeline.components:
        if isinstance(component, Resolver):
            raise UserError(
                f"pipeline: {component.id} is a resolver, which open-source Kubeflow Pipelines "
                "cannot run; build the pipeline without it"
            )


def _settle(task: PipelineTaskSpec, settings: TaskSettings, cache: bool) -> None:
    """Sets what the backend does about a task: its cache and its retries."""
    reads_files = not task.inputs.artifacts
    cached = settings.cache if settings.cache is not None else cache and not reads_files
    task.caching_options.enable_cache = cached
    if settings.retries:
        policy = task.retry_policy
        policy.max_retry_count, policy.backoff_factor = settings.retries, 2
        policy.backoff_duration.FromSeconds(_BACKOFF_SECONDS)


def _equip(
    container: PipelineDeploymentConfig.PipelineContainerSpec,
    settings: TaskSettings,
    config: KubeflowConfig,
) -> None:
    """Sets what every backend knows of a container: resources and variables."""
    resources = container.resources
    if settings.cpu:
        resources.cpu_limit = resources.cpu_request = settings.cpu
    if settings.memory:
        resources.memory_limit = resources.memory_request = settings.memory_bytes / 1e9
    if settings.gpus:
        resources.accelerator.type, resources.accelerator.count = settings.gpu, settings.gpus
    if config.volume and config.volume.artifacts:
        container.env.add(name=ROOT_VARIABLE, value=config.volume.path)


def _pod(settings: TaskSettings, config: KubeflowConfig) -> KubernetesExecutorConfig:
    """What only Kubernetes knows of a pod: nodes, volumes and secrets."""
    volume = config.volume
    return KubernetesExecutorConfig(
        node_selector=NodeSelector(labels=settings.node_selector)
        if settings.node_selector
        else None,
        pvc_mount=[PvcMount(constant=volume.claim, mount_path=volume.path)] if volume else [],
        secret_as_env=list(_variables(config.secrets)),
        secret_as_volume=[
            SecretAsVolume(secret_name=secret.name, mount_path=secret.path)
            for secret in config.secrets
            if secret.path
        ],
    )


def _variables(secrets: Iterable[Secret]) -> Iterable[SecretAsEnv]:
    for secret in secrets:
        keys = [_KEY(secret_key=key, env_var=name) for name, key in secret.env.items()]
        if keys:
            yield SecretAsEnv(secret_name=secret.name, key_to_env=keys)
