import json
import re
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from click.testing import CliRunner
from command import LONG, Run, tfrec

from tfrec.cli.main import cli
from tfrec.errors import UserError

pytestmark = pytest.mark.timeout(1800)

STAGES = ("prepare", "train", "index", "evaluate", "export")


def test_a_run_prints_what_each_stage_took_and_how_good_the_model_is(run: Run) -> None:
    for stage in STAGES:
        assert re.search(rf"{stage} +│ +[\d.]+ +│ +[\d.]+ GB", run.output)
    for ranker in ("model", "popularity", "own_history"):
        assert len(re.findall(rf"│ {ranker} +│(?: [\d.]+ +│){{5}}", run.output)) == 2


def test_every_artefact_can_be_traced_back_to_its_inputs(run: Run) -> None:
    manifests = {a.manifest.stage: a.manifest for a in run.experiment.artifacts}

    assert tuple(manifests) == STAGES
    assert manifests["train"].inputs["prepare"] == manifests["prepare"].id
    assert manifests["index"].inputs["train"] == manifests["train"].id
    assert manifests["evaluate"].inputs["index"] == manifests["index"].id
    assert manifests["export"].inputs["index"] == manifests["index"].id
    assert manifests["prepare"].config["data"]["split"]["test"] == 7 * 86_400


def test_rejected_rows_are_counted_and_kept(run: Run) -> None:
    prepared = run.experiment.prepared

    assert prepared.manifest.summary["rejected"]["events"] == {
        "missing user": 2,
        "item not in the catalogue": 3,
    }
    lines = [
        json.loads(line)
        for file in (prepared.path / "rejects").glob("events*")
        for line in file.read_text().splitlines()
    ]
    assert sorted(line["reason"] for line in lines) == [
        *["item not in the catalogue"] * 3,
        *["missing user"] * 2,
    ]


def test_a_table_is_sharded_over_both_parameter_servers(run: Run) -> None:
    """Each server writes what it holds to a file of its own: half the table, half its slots."""
    checkpoints = run.experiment.trained.path / "checkpoints"
    latest = Path(tf.train.latest_checkpoint(str(checkpoints)))

    sizes = sorted(file.stat().st_size for file in checkpoints.glob(f"{latest.name}.data-*"))

    table_and_slots = 4 * LONG * (8 + 1)
    assert len(sizes) == 3
    assert sum(sizes[1:]) > table_and_slots
    assert all(0.4 < size / sum(sizes) < 0.6 for size in sizes[1:])


def test_shoppers_were_given_rows_in_training(run: Run) -> None:
    latest = tf.train.latest_checkpoint(str(run.experiment.trained.path / "checkpoints"))
    reader = tf.train.load_checkpoint(latest)
    (keys,) = (key for key in reader.get_variable_to_shape_map() if "/keys/" in key)

    assert (reader.get_tensor(keys) >= 0).sum() > 30


def test_the_index_finds_what_exact_search_finds(run: Run) -> None:
    assert run.experiment.item_index.manifest.summary["recall@100"] == 1.0


def test_a_second_run_makes_nothing_again(run: Run) -> None:
    before = {
        a.path: (a.path / "manifest.json").stat().st_mtime_ns for a in run.experiment.artifacts
    }

    again = tfrec("run", run.config)

    assert again.returncode == 0, again.stderr
    assert again.stdout.count(": unchanged") == len(STAGES) + 1
    assert before == {path: (path / "manifest.json").stat().st_mtime_ns for path in before}


def test_a_changed_section_remakes_its_stage_and_what_follows(run: Run, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(run.shop.folder / "runs", runs)

    again = tfrec(
        "run", run.config, "--runs", runs, "--serving.root", tmp_path, "--evaluation.k", "[3]"
    )

    assert again.returncode == 0, again.stderr
    assert again.stdout.count(": unchanged") == 4
    assert "evaluate: done in" in again.stdout
    assert "recall@3" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--training.worker", "3"], "training.worker: unknown key; known here: strategy, workers"),
        (["--data.events.source", "no/such.parquet"], "data.events.source: 'no/such.parquet': no"),
        (["--data.events.time", "channel"], "data.events: 6,000 of 6,000 rows rejected, more than"),
        (["--data.events.user", "customer"], "data.events.user: no column 'customer' in the data"),
        (
            ["--features.colour", "{role: item, kind: categorical, embedding: 4}"],
            "features.colour:",
        ),
        (["--data.max_reject_share", "0"], "data.events: 5 of 6,000 rows rejected"),
        (["--training.batch_size", "100000"], "training.batch_size: 100000 is more than the"),
        (["--model", "no.such.Model"], "model.template: 'no.such.Model': cannot be imported"),
        (["--evaluation.k", "[1000]"], "evaluation.k: 1000 is more than the 120 items"),
        (["--index.promise.recall", "2"], "index.promise.recall: 2: Input should be less than or"),
        (["--data.split.test", "fortnight"], "data.split.test: 'fortnight': not a duration"),
    ],
)
def test_a_mistake_is_named_with_its_value(
    run: Run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(run.shop.folder / "runs", runs)

    done = CliRunner().invoke(cli, ["run", str(run.config), "--runs", str(runs), *arguments])

    assert isinstance(done.exception, UserError), done.output
    assert str(done.exception).startswith(message)
    assert "\n" not in str(done.exception)
    assert (runs / "shop" / "prepare" / "manifest.json").exists()


def test_a_mistake_leaves_the_command_as_one_line_and_status_2(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"

    done = tfrec("run", missing)

    assert done.returncode == 2
    assert done.stderr == (
        f"error: {missing}: No such file or directory; give the path of an experiment's YAML\n"
    )


def test_a_stage_without_its_input_names_the_command_to_run(run: Run, tmp_path: Path) -> None:
    done = tfrec("index", run.config, "--runs", tmp_path)

    assert done.returncode == 2
    assert "run `tfrec prepare CONFIG` first" in done.stderr
