"""The program of every training process: `python -m tfrec.training.task JOB.json`.

`TF_CONFIG` says which task of which cluster it is; without one it trains alone.
"""

import ctypes
import json
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfrec.errors import UserError
from tfrec.imports import uncollected_imports
from tfrec.training.processes import SUPERVISED

PROGRESS, ERROR = "progress", "error"
LOST = os.EX_TEMPFAIL
"""Exit status that asks for the same again, once lost tasks are there again."""

_PATIENCE = 2
"""Times a task may be silent before it is killed: time to start it again and see a step."""
_SIGN_OF_LIFE_SECONDS = 2.0
_SET_PARENT_DEATH_SIGNAL = 1


def main(arguments: list[str]) -> None:
    """Runs the task and ends the process.

    Args:
      arguments: path of a `TrainingJob` as JSON; `--supervised` ends the process when its standard
        input does, so that it cannot outlive whoever started it, and writes a sign of life to its
        standard output every 2 seconds.
    """
    job, *flags = arguments
    if SUPERVISED in flags:
        _obey_supervisor()
    # Otherwise a call to a task that is gone waits until there is one again.
    os.environ.setdefault("GRPC_FAIL_FAST", "use_caller")
    tf_config = json.loads(os.environ.get("TF_CONFIG", "{}"))
    cluster, task = tf_config.get("cluster", {}), tf_config.get("task", {"type": "chief"})
    if task["type"] == "ps":
        # oneDNN's allocator never gives back the memory that a checkpoint takes.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    # A coordinator's threads outlive it, or wait for ever for a task that is gone.
    os._exit(_run(Path(job), cluster, task))


def _run(job: Path, cluster: dict[str, Any], task: dict[str, Any]) -> int:
    """Runs the task to its exit status."""
    from tfrec.training.failures import ClusterLostError

    try:
        if task["type"] == "ps" or (task["type"] == "worker" and "ps" in cluster):
            _serve()
        elif task["type"] == "evaluator":
            _evaluate(job)
        else:
            _train(job, leads=task["type"] == "chief" or task["index"] == 0)
    except UserError as error:
        _tell({ERROR: str(error)})
        return _failed(error, 2)
    except ClusterLostError as error:
        return _failed(error, LOST)
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def _failed(error: Exception, status: int) -> int:
    """Logs an error behind what led to it."""
    if error.__cause__ is not None:
        traceback.print_exception(error.__cause__)
    print(f"error: {error}", file=sys.stderr)
    return status


def _serve() -> None:
    """Lends this process to the chief for as long as it runs."""
    with uncollected_imports():
        import tensorflow as tf

    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    tf.distribute.Server(
        resolver.cluster_spec(),
        job_name=resolver.task_type,
        task_index=resolver.task_id,
        protocol=resolver.rpc_layer or "grpc",
    ).join()


def _train(file: Path, leads: bool) -> None:
    # Servers do not need these, and are ready seconds earlier without them.
    with uncollected_imports():
        from tfrec.training.failures import translate
        from tfrec.training.job import TrainingJob
        from tfrec.training.progress import Progress
        from tfrec.training.trainer import train
        from tfrec.training.watchdog import Watchdog

    job = TrainingJob.model_validate_json(file.read_text())
    watchdog = Watchdog(_PATIENCE * job.training.worker_timeout, _give_up)

    def report(progress: Progress) -> None:
        watchdog.see(progress.step)
        if leads:
            _tell({PROGRESS: asdict(progress)})

    try:
        with watchdog:
            train(job, report)
    except Exception as error:
        raise translate(error, job) from error


def _evaluate(file: Path) -> None:
    with uncollected_imports():
        from tfrec.training.evaluator import evaluate
        from tfrec.training.job import TrainingJob

    evaluate(TrainingJob.model_validate_json(file.read_text()))


def _give_up(step: int, seconds: float) -> None:
    """Ends a training that stands still; from its threads there is no other way out."""
    print(f"error: no step for {seconds:.0f} s after step {step}", file=sys.stderr, flush=True)
    os._exit(LOST)


def _tell(message: dict[str, object]) -> None:
    # In one piece: a sign of life may be written at the same time.
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _obey_supervisor() -> None:
    # Also ends a process that is stopped, which reads no end of its input.
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    for act in (_end_with_stdin, _live):
        threading.Thread(target=act, daemon=True).start()


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(1)


def _live() -> None:
    while True:
        _tell({})
        time.sleep(_SIGN_OF_LIFE_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1:])
