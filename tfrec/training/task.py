"""The program of every training process: `python -m tfrec.training.task JOB.json`.

`TF_CONFIG` says which task of which cluster it is; without one it trains alone.
"""

import json
import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path

import tensorflow as tf

from tfrec.errors import UserError

FOLLOW_STDIN = "--follow-stdin"
PROGRESS, ERROR = "progress", "error"


def main(arguments: list[str]) -> None:
    """Runs the task and ends the process.

    Args:
      arguments: path of a `TrainingJob` as JSON; `--follow-stdin` ends the process when its
        standard input does, so that it cannot outlive whoever started it.
    """
    if FOLLOW_STDIN in arguments:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    task = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {"type": "chief"})
    if task["type"] in ("worker", "ps"):
        _serve()
    try:
        _train(Path(arguments[0]))
    except UserError as error:
        _tell({ERROR: str(error)})
        os._exit(2)
    # A coordinator's threads outlive it; its work is on disk.
    os._exit(0)


def _serve() -> None:
    """Lends this process to the chief for as long as it runs."""
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    tf.distribute.Server(
        resolver.cluster_spec(),
        job_name=resolver.task_type,
        task_index=resolver.task_id,
        protocol=resolver.rpc_layer or "grpc",
    ).join()


def _train(job: Path) -> None:
    # Only the chief needs these; the other tasks are ready seconds earlier without them.
    from tfrec.training.job import TrainingJob
    from tfrec.training.trainer import train

    train(
        TrainingJob.model_validate_json(job.read_text()),
        lambda progress: _tell({PROGRESS: asdict(progress)}),
    )


def _tell(message: dict[str, object]) -> None:
    print(json.dumps(message), flush=True)


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
