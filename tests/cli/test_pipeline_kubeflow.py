from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from kubeflow_api import KubeflowApi, serve_kubeflow_api
from shop import Shop

from tfrec.cli.pipeline import pipeline
from tfrec.errors import UserError

VOLUME = {"claim": "shop", "path": "/mnt/shop"}


@pytest.fixture
def config(shop: Shop, tmp_path: Path) -> Path:
    """A config whose shop is not on the machine that compiles."""
    content = shop.config(serving={"root": "/mnt/shop/serving"})
    content["data"]["events"]["source"] = "/mnt/shop/events.parquet"
    content["name"] = "my_Shop"
    content["pipeline"] = {"kubeflow": {"image": "tfrec:1", "volume": VOLUME, "cpu": 2}}
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def api() -> Iterator[KubeflowApi]:
    with serve_kubeflow_api() as served:
        yield served


def call(*arguments: object) -> Result:
    result = CliRunner().invoke(pipeline, [str(one) for one in arguments])
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_compile_writes_the_file_and_shows_the_tasks(config: Path, tmp_path: Path) -> None:
    gpus = "{Trainer: {gpus: 2, memory: 32G}}"
    result = call(
        "compile", config, "--out", tmp_path / "out.yaml", "--pipeline.kubeflow.components", gpus
    )
    spec, platform = yaml.safe_load_all((tmp_path / "out.yaml").read_text())
    assert spec["pipelineInfo"]["name"] == "my-shop"
    assert "Trainer" in spec["root"]["dag"]["tasks"]
    assert platform["platforms"]["kubernetes"]
    rows = [line.split() for line in result.output.splitlines()]
    assert ["Trainer", "ExampleWriter", "2", "32.00", "GB", "2", "yes"] in rows


def test_submit_compiles_uploads_and_runs(config: Path, api: KubeflowApi) -> None:
    result = call("submit", config, "--host", api.url)
    assert api.pipelines[0]["display_name"] == "my-shop"
    assert f"{api.url}/#/runs/details/run-1" in result.output


def test_submit_with_a_schedule_says_when(config: Path, api: KubeflowApi) -> None:
    result = call("submit", config, "--host", api.url, "--schedule", "0 3 * * *")
    assert api.recurring_runs[0]["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *"
    assert "runs at '0 0 3 * * *'" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compile", "--pipeline", "{}"], "pipeline.kubeflow: missing; give at least the image"),
        (
            ["compile", "--serving.root", "serving"],
            "serving.root: 'serving': lies in the pod and is lost with it; give one below /mnt",
        ),
        (["compile", "--pipeline.kubeflow.volume", "null"], "one on a pipeline.kubeflow.volume"),
        (
            [
                "compile",
                "--pipeline.warm_start",
                "true",
                "--pipeline.kubeflow.volume.artifacts",
                "0",
            ],
            "pipeline.warm_start: the next run would not find the trained model",
        ),
        (
            [
                *("compile", "--pipeline.training_on", "tfjob"),
                *(
                    "--pipeline.tfjob",
                    "{image: 'tfrec:1', volume: {claim: other, path: /mnt/shop}}",
                ),
            ],
            "pipeline.tfjob.volume: its replicas would not find the prepared data; mount shop",
        ),
        (
            [
                *("compile", "--pipeline.kubeflow.namespace", "shop"),
                *("--pipeline.training_on", "tfjob"),
                *("--pipeline.tfjob", "{image: 'tfrec:1', volume: {claim: shop, path: /mnt/shop}}"),
            ],
            "pipeline.tfjob.namespace: 'default': claim shop is in 'shop'",
        ),
        (
            ["compile", "--pipeline.training_on", "tf_config"],
            "pipeline.training_on: tf_config: Trainer's pod would be in no cluster; take tfjob",
        ),
        (["submit"], "pipeline.kubeflow.host: missing"),
        (["submit", "--schedule", "0 3 * * x"], "schedule '0 3 * * x': day of week 'x'"),
    ],
    ids=[
        "no section",
        "lost models",
        "no volume",
        "lost training",
        "other claim",
        "other namespace",
        "no cluster",
        "no host",
        "cron",
    ],
)
def test_what_is_missing_or_wrong_is_one_line(
    config: Path, arguments: list[str], message: str
) -> None:
    command, *others = arguments
    with pytest.raises(UserError) as caught:
        call(command, config, *others)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
