import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
from click.testing import CliRunner, Result
from toy_bundle import write_toy_bundle

from tfrec.cli.main import cli
from tfrec.data.prepared import PreparedData
from tfrec.errors import UserError
from tfrec.serving import ModelServer


@pytest.fixture(scope="module")
def asked(
    prepared: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Options for a server and the data of its model."""
    folder = tmp_path_factory.mktemp("bundle")
    write_toy_bundle(prepared, {"shopper": tf.TensorSpec([None], tf.string, "shopper")}, folder)
    with ModelServer({"toy": folder / "toy"}, port=0, rest_api_port=0) as server:
        yield {"--server": f"grpc://127.0.0.1:{server.port}", "--prepared": str(prepared.path)}


def run(options: dict[str, str], *more: object) -> Result:
    pairs = (text for pair in options.items() for text in pair)
    return CliRunner().invoke(cli, ["loadtest", "toy", "--seconds", "1", *pairs, *map(str, more)])


def test_figures_are_shown_by_status(asked: dict[str, str], tmp_path: Path) -> None:
    plot = tmp_path / "load.svg"

    done = run(asked, "--rate", 20, "-k", 3, "--plot", plot)

    assert done.exit_code == 0, done.output
    (row,) = (line.split() for line in done.output.splitlines() if line.startswith("│ OK"))
    assert row[3] == "20"
    assert "toy.recommend, grpc://" in done.output
    assert "20 requests/s, at most 64 connections" in done.output
    assert "sent after they were due: p50 " in done.output
    assert plot.read_text().rstrip().endswith("</svg>")


def test_json_is_one_line(asked: dict[str, str]) -> None:
    done = run(asked, "--connections", 2, "--json")

    assert done.exit_code == 0, done.output
    (line,) = done.output.splitlines()
    told = json.loads(line)
    assert told["signature"] == "recommend"
    assert (told["rate"], told["connections"]) == (None, 2)
    assert told["statuses"].keys() == {"OK"}
    figures = told["statuses"]["OK"]
    assert figures["requests"] == told["requests"]
    assert figures["per_second"] == pytest.approx(told["requests"] / told["seconds"], rel=0.01)
    assert 0 < figures["p50_ms"] <= figures["p99_9_ms"] <= figures["max_ms"]


def test_plot_that_cannot_be_written_is_refused_before_any_load(asked: dict[str, str]) -> None:
    done = run(asked, "--plot", "load.gif")

    assert isinstance(done.exception, UserError)
    assert "--plot: load.gif is neither .svg nor .html" in str(done.exception)


@pytest.mark.parametrize("option", [("--rate", 0), ("--connections", 0), ("-k", 0)])
def test_no_load_is_refused(option: tuple[str, int]) -> None:
    assert run({}, *option).exit_code == 2


def test_help_has_examples() -> None:
    assert "tfrec loadtest " in run({}, "--help").output.partition("Examples")[2]
