"""The command line as a user runs it, and what a whole run leaves."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from shop import Shop

from tfrec.stages.experiment import Experiment

TIMEOUT_SECONDS = 900
LONG = 8000
"""Rows for unknown values in the run's item table, so that it is long enough to be sharded."""


def tfrec(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs `tfrec` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tfrec.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


@dataclass(frozen=True)
class Run:
    """A finished run: the shop, the config's file, and what was printed."""

    shop: Shop
    config: Path
    output: str

    @property
    def experiment(self) -> Experiment:
        return Experiment.load(self.config)
