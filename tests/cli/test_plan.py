import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from command import tfrec
from shop import Shop

from tfrec.cli.plan import plan
from tfrec.data.prepared import PreparedData
from tfrec.errors import UserError

ID = {"kind": "categorical", "embedding": 64, "lookup": "hash"}
FEATURES = {
    "shopper": {"role": "user", **ID, "rows": 20_000_000},
    "sku": {"role": "item", **ID, "rows": 100_000},
}


@pytest.fixture
def config(shop: Shop, tmp_path: Path) -> Path:
    """A shop of twenty million shoppers, of which nothing is prepared."""
    content = {
        **shop.config(), "features": FEATURES, "runs": str(tmp_path),
        "training": {"workers": 1, "memory_per_server": 8_000_000_000},
    }  # fmt: skip
    path = tmp_path / "shop.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(plan, [str(argument) for argument in arguments])


def test_plan_shows_tables_a_step_and_memory(config: Path) -> None:
    done = run(config)

    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.stdout.splitlines()]
    group = "rowwise_adagrad_64"
    assert [group, "20,100,002", "5.15", "GB", "80.4", "MB", "ps-0", "..", "ps-1"] in rows
    assert ["ps-0", "..", "ps-1", "3.19", "GB", "5.81", "GB", "8.00", "GB"] in rows
    assert done.stdout.splitlines()[-1].startswith("assumed, not counted: Zipf's law")


def test_plan_that_does_not_fit_is_shown_and_refused(config: Path) -> None:
    done = run(config, "--training.memory_per_server", 4_000_000_000)

    assert "20,100,002" in done.stdout
    assert isinstance(done.exception, UserError)
    assert "training.parameter_servers: 4 or" in str(done.exception)


def test_state_of_a_dynamic_lookup_is_shown(config: Path) -> None:
    done = run(config, "--features.shopper.lookup", "dynamic")

    assert "lookup" in done.stdout
    assert "640.0 MB" in done.stdout


def test_model_too_large_for_one_process_is_warned_of(config: Path) -> None:
    done = run(config, "--features.shopper.rows", 2 * 10**9, "--training.memory_per_server", 10**13)

    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1].startswith("warning: saving the model, and an evaluator")


def test_plan_that_does_not_fit_leaves_one_line_and_status_2(config: Path) -> None:
    done = tfrec("plan", config, "--training.memory_per_server", "700000000")

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: training: ps-0 would take 5.81 GB while")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--training.workers", "0"), "training.workers: 0: "),
        (("--training.parameter_servers", "0"), "training.parameter_servers: 0: "),
        (("--features.shopper.rows", "0"), "features.shopper.rows: 0: "),
        (("--training.optimizers.tables.kind", "adamax"), "training.optimizers.tables.kind: 'adam"),
        (("--features.sku.lookup", "vocabulary"), "features.sku: the rows of its vocabulary are"),
    ],
)
def test_mistake_is_named_in_one_line(config: Path, change: tuple[str, str], message: str) -> None:
    done = run(config, *change)

    assert isinstance(done.exception, UserError)
    (line,) = str(done.exception).splitlines()
    assert line.startswith(message)


def test_the_job_that_would_train_is_printed_as_yaml(
    shop: Shop, prepared: PreparedData, tmp_path: Path
) -> None:
    (tmp_path / "runs" / "shop").mkdir(parents=True)
    (tmp_path / "runs" / "shop" / "prepare").symlink_to(prepared.path)
    job = {"image": "shop/trainer:1", "volume": {"claim": "shop-data", "path": str(tmp_path)}}
    content = {**shop.config(), "runs": str(tmp_path / "runs"), "pipeline": {"tfjob": job}}
    config = tmp_path / "shop.yaml"
    config.write_text(yaml.safe_dump(content))

    done = run(config, "--tfjob")

    assert done.exit_code == 0, done.output
    manifest = yaml.safe_load(done.stdout)
    assert manifest["metadata"]["name"].startswith("tfrec-shop-")
    (container,) = manifest["spec"]["tfReplicaSpecs"]["Chief"]["template"]["spec"]["containers"]
    assert re.fullmatch(
        rf"{tmp_path}/runs/shop/\.train-[0-9a-f]{{12}}/job\.json", container["command"][-1]
    )


def test_a_job_that_is_not_in_the_config_is_asked_for(config: Path) -> None:
    done = run(config, "--tfjob")

    assert str(done.exception).startswith("pipeline.tfjob: missing; add it, e.g. ")
