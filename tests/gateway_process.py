"""`tfrec gateway` as a process of its own, in front of a shop that is prepared and not trained."""

import contextlib
import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tfrec.data.prepared import PreparedData

_START_SECONDS, _STOP_SECONDS = 600, 60


@dataclass
class GatewayProcess:
    """A gateway that runs.

    Attributes:
      url: of its address.
      process: of the operating system.
      log: file of what it says.
    """

    url: str
    process: subprocess.Popen[str]
    log: Path


def write_served_shop(
    shop_config: dict[str, Any], prepared: PreparedData, folder: Path, **service: Any
) -> Path:
    """Makes an experiment that looks as if it had been run, and returns its config.

    Args:
      shop_config: of the shop that was prepared.
      prepared: its data.
      folder: where the experiment is kept.
      **service: the `service` section.
    """
    import tensorflow as tf
    from toy_bundle import write_toy_bundle

    runs = folder / "runs" / "shop"
    shutil.copytree(prepared.path, runs / "prepare")
    inputs = {
        name: tf.TensorSpec([None, *more], tf.string, name)
        for name, more in (("shopper", []), ("recent", [5]), ("channel", []), ("weekday", []))
    }
    write_toy_bundle(prepared, inputs, runs / "export")
    serving = {"name": "toy", "root": str(folder / "serving"), "k": 5}
    content = {
        **shop_config,
        "runs": str(runs.parent),
        "serving": serving,
        "service": {"folder": str(folder / "service"), **service},
    }
    config = folder / "experiment.yaml"
    config.write_text(yaml.safe_dump(content))
    return config


@contextlib.contextmanager
def running_gateway(config: Path, *arguments: str) -> Iterator[GatewayProcess]:
    """Starts a gateway on a free port, and ends it at last."""
    log = config.with_suffix(".log")
    command = [sys.executable, "-m", "tfrec.cli.main", "gateway", str(config), "--port", "0"]
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*command, *arguments], stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        yield GatewayProcess(_wait_for_address(process, log), process, log)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_address(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None
    deadline = time.monotonic() + _START_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline and selector.select(deadline - time.monotonic()):
            line = process.stdout.readline()
            if line.startswith("gateway "):
                return line.split()[-1]
            if not line:
                break
    raise AssertionError(f"the gateway did not start:\n{log.read_text()[-3000:]}")
