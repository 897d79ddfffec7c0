import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from command import Run

from tfrec.errors import UserError
from tfrec.training.cluster import run_cluster
from tfrec.training.config import TrainingConfig
from tfrec.training.job import TrainingJob
from tfrec.training.trainer import Progress

EXAMPLE = Path(__file__).parents[2] / "examples" / "wider_items.py"
DEADLINE_SECONDS = 120


def write_job(run: Run, folder: Path, **training: object) -> tuple[TrainingConfig, Path]:
    config = run.experiment.config
    job = TrainingJob(
        features=config.features,
        model={"template": f"{EXAMPLE}:WiderItems", "embedding_dim": 8},
        training={"batch_size": 256, "epochs": 2, **training},
        prepared=run.experiment.prepared.path,
        output=folder,
    )
    file = folder / "job.json"
    file.write_text(job.model_dump_json())
    return job.training, file


def find_task(name: str) -> psutil.Process:
    """Waits for a task of a cluster that this process started."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    kind, index = name.split("-")
    while time.monotonic() < deadline:
        for child in psutil.Process().children():
            task = json.loads(child.environ().get("TF_CONFIG", "{}")).get("task")
            if task == {"type": kind, "index": int(index)}:
                return child
    raise AssertionError(f"{name} did not start")


@pytest.mark.parametrize("strategy", ["single", "mirrored"])
def test_the_example_template_trains_on_one_process(
    run: Run, tmp_path: Path, strategy: str
) -> None:
    config, job = write_job(run, tmp_path, strategy=strategy)
    told: list[Progress] = []

    run_cluster(config, job, tmp_path / "logs", told.append)

    epochs = [json.loads(line) for line in (tmp_path / "training_log.jsonl").open()]
    assert epochs[1]["loss"] < epochs[0]["loss"]
    assert told[-1].step == told[-1].steps


def test_a_worker_that_dies_at_the_start_ends_the_run_by_name(run: Run, tmp_path: Path) -> None:
    config, job = write_job(run, tmp_path, strategy="parameter_server")
    killer = threading.Thread(target=lambda: find_task("worker-1").kill())
    killer.start()

    with pytest.raises(UserError, match=r"training: worker-1 was killed by SIGKILL .* see .*log"):
        run_cluster(config, job, tmp_path / "logs", lambda _: None)

    killer.join()
    assert psutil.Process().children() == []


def test_a_killed_command_leaves_no_process_behind(run: Run, tmp_path: Path) -> None:
    _, job = write_job(run, tmp_path, strategy="parameter_server", epochs=1000)
    program = (
        "import sys; from pathlib import Path; from tfrec.training.cluster import run_cluster;"
        "from tfrec.training.job import TrainingJob; job = Path(sys.argv[1]);"
        "training = TrainingJob.model_validate_json(job.read_text()).training;"
        "run_cluster(training, job, job.parent / 'logs', print)"
    )
    command = subprocess.Popen([sys.executable, "-c", program, str(job)], stdout=subprocess.PIPE)
    try:
        assert command.stdout is not None
        assert b"Progress" in command.stdout.readline()
        tasks = psutil.Process(command.pid).children()
        assert len(tasks) == 5
    finally:
        command.kill()
        command.wait()

    gone, alive = psutil.wait_procs(tasks, timeout=30)

    assert len(gone) == 5
    assert not alive
