"""A task of a cluster whose chief trains several jobs, one after the other.

    python trains_in_turn.py FOLDER --supervised

The jobs are `job.json` of the folders below.
"""

import sys
from pathlib import Path

from tfrec.training import task

_train = task._train


def _train_all(folder: Path, leads: bool) -> None:
    for job in sorted(folder.glob("*/job.json")):
        _train(job, leads)


if __name__ == "__main__":
    task._train = _train_all
    task.main(sys.argv[1:])
