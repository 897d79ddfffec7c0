"""Starts Python modules that share heavy imports: each runs in a fork of this process.

Reads lines of JSON `{"argv": [...], "env": {...}, "log": path}` and answers each with the exit
status. `argv[0]` names the module. Nothing here may run a TensorFlow operation: its threads would
not be there in the forks.
"""

import json
import os
import runpy
import sys
import traceback


def main() -> None:
    import scann  # noqa: F401
    import tensorflow_data_validation  # noqa: F401
    import tensorflow_model_analysis  # noqa: F401
    import tensorflow_transform  # noqa: F401

    import tfrec.pipelines.kubeflow.entrypoint
    import tfrec.stages.experiment  # noqa: F401

    print("ready", flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        process = os.fork()
        if not process:
            run(task["argv"], task["env"], task["log"])
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


def run(argv: list[str], env: dict[str, str], log: str) -> None:
    """Runs the module as `python -m` would, and never returns."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = argv
    sys.modules.pop(argv[0], None)
    try:
        runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
