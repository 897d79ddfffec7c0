"""Compiling a pipeline for open-source Kubeflow Pipelines."""

from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp.components import load_component_from_file
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.input_resolution.strategies.latest_artifact_strategy import LatestArtifactStrategy
from tfx.types.channel import Channel
from tfx.types.standard_artifacts import Model
from toy_pipeline import toy_pipeline

from tfrec.config import validate
from tfrec.deploy.kubeflow_config import KubeflowConfig
from tfrec.errors import UserError
from tfrec.pipelines.kubeflow.compile import compile_pipeline
from tfrec.pipelines.kubeflow.compiled import Compiled

IMAGE = "registry.shop/tfrec:1"
EXECUTOR = "Measure_executor"


def compiled(pipeline=None, **section) -> Compiled:
    config = validate(KubeflowConfig, {"image": IMAGE, **section}, "pipeline.kubeflow")
    return compile_pipeline(pipeline or toy_pipeline(), config)


def pod(made: Compiled, executor: str = EXECUTOR) -> KubernetesExecutorConfig:
    executors = made.platform.platforms["kubernetes"].deployment_spec.executors
    content = json_format.MessageToDict(executors[executor])
    return json_format.ParseDict(content, KubernetesExecutorConfig())


def test_the_file_is_of_the_schema_that_kubeflow_takes_and_reads_back_the_same(
    tmp_path: Path,
) -> None:
    made = compiled(volume={"claim": "artefacts", "path": "/mnt/tfrec"})
    made.write(tmp_path / "pipeline.yaml")
    load_component_from_file(str(tmp_path / "pipeline.yaml"))
    again = Compiled.read(tmp_path / "pipeline.yaml")
    assert (again.spec.schema_version, again.spec.pipeline_info.name) == ("2.1.0", "toy")
    assert again.deployment == made.deployment
    assert again.platform == made.platform


def test_a_field_that_the_schema_does_not_know_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    compiled().write(path)
    content = yaml.safe_load(path.read_text())
    content["deploymentSpec"]["executors"][EXECUTOR]["container"]["gpus"] = 1
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(json_format.ParseError, match="gpus"):
        Compiled.read(path)


def test_nothing_said_of_pods_leaves_the_platform_out(tmp_path: Path) -> None:
    compiled().write(tmp_path / "pipeline.yaml")
    assert len(list(yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text()))) == 1


def test_every_container_runs_our_entrypoint_in_our_image() -> None:
    made = compiled()
    for task in made.tasks:
        container = made.container(task)
        assert container.image == IMAGE
        assert list(container.command) == ["python", "-m", "tfrec.pipelines.kubeflow.entrypoint"]
        assert "{{$}}" in container.args


def test_artefacts_lie_below_the_object_store_of_the_config() -> None:
    assert compiled(root="s3://shop/runs").spec.default_pipeline_root == "s3://shop/runs"


def test_resources_of_a_component_replace_those_of_all() -> None:
    made = compiled(
        cpu=2, memory="4Gi", components={"Measure": {"memory": "16G", "gpus": 1, "gpu": "amd/gpu"}}
    )
    small, large = (made.container(task).resources for task in ("StatisticsGen", "Measure"))
    assert (small.cpu_limit, small.memory_limit) == (2, pytest.approx(4 * 1.073741824))
    assert (large.cpu_limit, large.memory_limit) == (2, 16)
    assert (large.accelerator.type, large.accelerator.count) == ("amd/gpu", 1)
    assert not small.HasField("accelerator")


def test_retries_are_those_of_the_config() -> None:
    made = compiled(retries=2, components={"Measure": {"retries": 0}})
    assert made.tasks["StatisticsGen"].retry_policy.max_retry_count == 2
    assert not made.tasks["Measure"].HasField("retry_policy")


@pytest.mark.parametrize(
    ("cache", "section", "cached"),
    [
        (True, {}, [False, True, True]),
        (False, {}, [False, False, False]),
        (True, {"components": {"WriteExamples": {"cache": True}}}, [True, True, True]),
        (True, {"cache": False}, [False, False, False]),
    ],
    ids=["what reads files is not cached", "off", "on for one", "off on Kubeflow"],
)
def test_caching_is_by_component(cache: bool, section: dict, cached: list[bool]) -> None:
    made = compiled(toy_pipeline(cache=cache), **section)
    names = ["WriteExamples", "StatisticsGen", "Measure"]
    assert [made.tasks[name].caching_options.enable_cache for name in names] == cached


def test_pods_get_nodes_claim_and_secrets_by_name() -> None:
    made = compiled(
        volume={"claim": "artefacts", "path": "/mnt/tfrec"},
        secrets=[
            {"name": "s3-keys", "env": {"AWS_ACCESS_KEY_ID": "id"}},
            {"name": "tls", "path": "/etc/tls"},
        ],
        components={"Measure": {"node_selector": {"pool": "gpu"}}},
    )
    told = pod(made)
    assert dict(told.node_selector.labels) == {"pool": "gpu"}
    assert [(m.constant, m.mount_path) for m in told.pvc_mount] == [("artefacts", "/mnt/tfrec")]
    variable = told.secret_as_env[0].key_to_env[0]
    assert told.secret_as_env[0].secret_name == "s3-keys"
    assert (variable.env_var, variable.secret_key) == ("AWS_ACCESS_KEY_ID", "id")
    assert [(s.secret_name, s.mount_path) for s in told.secret_as_volume] == [("tls", "/etc/tls")]
    assert not pod(made, "StatisticsGen_executor").HasField("node_selector")
    env = {variable.name: variable.value for variable in made.container("Measure").env}
    assert env == {"TFREC_ARTIFACTS": "/mnt/tfrec"}


def test_rows_for_people_are_in_an_order_that_can_be_run() -> None:
    rows = compiled(cpu=2, memory="8G", components={"Measure": {"gpus": 1}}).rows
    assert [row["task"] for row in rows] == ["WriteExamples", "StatisticsGen", "Measure"]
    assert rows[2] == {
        "task": "Measure", "after": ["StatisticsGen"], "cpu": 2, "memory": 8e9, "gpus": 1,
        "retries": 0, "cached": True,
    }  # fmt: skip


def test_a_resolver_is_refused() -> None:
    pipeline = toy_pipeline()
    latest = Resolver(strategy_class=LatestArtifactStrategy, model=Channel(type=Model))
    pipeline.components = [*pipeline.components, latest.with_id("last_model")]
    with pytest.raises(UserError, match="last_model is a resolver"):
        compiled(pipeline)


def test_settings_of_a_component_that_is_not_there_are_refused() -> None:
    with pytest.raises(UserError, match=r"components\.Trainer: no component.*Measure"):
        compiled(components={"Trainer": {"gpus": 1}})


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"memory": "8 GB"}, "memory: '8 GB'"),
        ({"cpu": 0}, "cpu: 0"),
        ({"root": "/mnt/artefacts"}, "root: '/mnt/artefacts'"),
        ({"volume": {"claim": "artefacts", "path": "mnt"}}, "volume.path: 'mnt'"),
        ({"volume": {"claim": "My Claim", "path": "/mnt"}}, "volume.claim: 'My Claim'"),
        ({"secrets": [{"name": "keys"}]}, "secrets.0: pods see nothing of it; say env"),
        ({"components": {"Trainer": {"gpu_count": 1}}}, "components.Trainer.gpu_count: unknown"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value,
)
def test_a_wrong_value_is_named(section: dict, message: str) -> None:
    with pytest.raises(UserError, match=r"^pipeline\.kubeflow\.") as caught:
        compiled(**section)
    assert message in str(caught.value)
