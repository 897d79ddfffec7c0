import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from command import tfrec
from jobs import Watched, find_task, job_file, wait_until, write_job
from shop import Shop

from tfrec.data.prepared import PreparedData
from tfrec.models.template import ModelConfig
from tfrec.training.epoch_log import Epoch, read_epochs
from tfrec.training.job import TrainingJob
from tfrec.training.ports import reserve_port

pytestmark = pytest.mark.timeout(1800)

EXAMPLE = Path(__file__).parents[2] / "examples" / "wider_items.py"
EPOCHS = 15
"""Enough for a task to be killed between the first and the last."""

LOST = 75
SUPERVISE = (
    "import sys; from pathlib import Path; from tfrec.training.cluster import run_cluster;"
    "from tfrec.training.job import TrainingJob; job = Path(sys.argv[1]);"
    "training = TrainingJob.model_validate_json(job.read_text()).training;"
    "run_cluster(training, job, job.parent / 'logs', lambda progress: print(progress, flush=True))"
)


@pytest.fixture
def programs() -> Iterator[list[subprocess.Popen[str]]]:
    """Programs that a test starts; what still runs at its end is killed."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for program in started:
        program.kill()
        program.wait()


def start(
    programs: list[subprocess.Popen[str]], *command: object, **environment: str
) -> subprocess.Popen[str]:
    program = subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    programs.append(program)
    return program


def test_the_example_template_trains_beside_an_evaluator(
    shop: Shop, prepared: PreparedData, tmp_path: Path
) -> None:
    job = write_job(shop, prepared, tmp_path, strategy="single", evaluator=True)
    model = ModelConfig.model_validate({"template": f"{EXAMPLE}:WiderItems", "embedding_dim": 8})
    job = job.model_copy(update={"model": model})
    job_file(job).write_text(job.model_dump_json())
    run, before = Watched(job), psutil.Process().children()

    first, last = run.go()

    assert last.loss < first.loss
    assert run.told[-1].step == run.told[-1].steps
    assert {*run.states[-2:]} == {"chief-0 done", "evaluator-0 done"}
    measured = [json.loads(line) for line in (tmp_path / "evaluations.jsonl").open()]
    assert measured[-1]["step"] == run.told[-1].steps
    assert {*psutil.Process().children()} <= {*before}


def test_a_killed_command_leaves_no_process_behind_not_even_a_stopped_one(
    shop: Shop, prepared: PreparedData, tmp_path: Path, programs: list[subprocess.Popen[str]]
) -> None:
    job = write_job(shop, prepared, tmp_path, epochs=1000)
    command = start(programs, "-c", SUPERVISE, job_file(job))
    assert command.stdout is not None
    assert "Progress" in command.stdout.readline()
    tasks = psutil.Process(command.pid).children()
    find_task("worker-0", psutil.Process(command.pid)).suspend()

    command.kill()

    assert len(tasks) == 3
    _, alive = psutil.wait_procs(tasks, timeout=200)
    assert not alive


def train_command(shop: Shop, prepared: PreparedData, folder: Path) -> list[object]:
    """`tfrec train` of a shop whose data are prepared, with runs of its own."""
    config = shop.write_config()
    runs = folder / "runs" / "shop"
    runs.mkdir(parents=True)
    (runs / "prepare").symlink_to(prepared.path)
    cluster = {"strategy": "parameter_server", "workers": 1, "parameter_servers": 1}
    settings = {**cluster, "epochs": EPOCHS}
    values = [part for key, value in settings.items() for part in (f"--training.{key}", value)]
    return ["train", config, "--runs", folder / "runs", *values]


def test_interrupting_a_command_ends_it_with_one_line_and_no_process(
    shop: Shop, prepared: PreparedData, tmp_path: Path, programs: list[subprocess.Popen[str]]
) -> None:
    command = start(programs, "-m", "tfrec.cli.main", *train_command(shop, prepared, tmp_path))
    find_task("ps-0", psutil.Process(command.pid))
    tasks = psutil.Process(command.pid).children()

    command.send_signal(signal.SIGINT)
    _, errors = command.communicate(timeout=300)

    assert command.returncode == 2
    assert errors == "error: train: interrupted; the same command goes on behind what is done\n"
    assert not any(task.is_running() for task in tasks)


def test_a_killed_chief_is_told_and_training_resumes_behind_its_checkpoint(
    shop: Shop, prepared: PreparedData, tmp_path: Path, programs: list[subprocess.Popen[str]]
) -> None:
    arguments = train_command(shop, prepared, tmp_path)
    nothing = tfrec(*arguments, "--resume")
    command = start(programs, "-m", "tfrec.cli.main", *arguments)
    runs = tmp_path / "runs" / "shop"

    def epochs() -> list[Epoch]:
        return [e for log in runs.glob(".train-*/training_log.jsonl") for e in read_epochs(log)]

    wait_until(lambda: len(epochs()) > 1, "the first epoch is in a checkpoint")

    find_task("chief-0", psutil.Process(command.pid)).kill()
    _, errors = command.communicate(timeout=300)
    *before, _ = epochs()
    resumed = tfrec(*arguments, "--resume")

    assert nothing.returncode == 2
    assert re.match(r"error: .*train: nothing of this config .* to resume; .*\n$", nothing.stderr)
    assert command.returncode == 2
    assert re.match(r"error: training: chief-0 was killed by SIGKILL; .*--resume.*\n$", errors)
    assert resumed.returncode == 0, resumed.stderr
    after = read_epochs(runs / "train" / "training_log.jsonl")
    assert after[: len(before)] == before
    assert [epoch.epoch for epoch in after] == list(range(1, EPOCHS + 1))
    print(f"\nchief killed after epoch {len(before)}: resumed, final loss {after[-1].loss:.4f}")


class ByHand:
    """A cluster whose tasks are started one by one, as Kubernetes starts pods."""

    def __init__(self, job: TrainingJob, programs: list[subprocess.Popen[str]]) -> None:
        self._job, self._programs = job, programs
        self._cluster = {
            kind: [f"127.0.0.1:{reserve_port()}"] for kind in ("chief", "worker", "ps")
        }

    def start(self, kind: str) -> subprocess.Popen[str]:
        role = {"cluster": self._cluster, "task": {"type": kind, "index": 0}}
        task = ["-m", "tfrec.training.task", job_file(self._job)]
        return start(self._programs, *task, TF_CONFIG=json.dumps(role))


def test_tasks_that_something_else_starts_survive_the_loss_of_a_server(
    shop: Shop, prepared: PreparedData, tmp_path: Path, programs: list[subprocess.Popen[str]]
) -> None:
    job = write_job(shop, prepared, tmp_path, epochs=EPOCHS)
    tasks = ByHand(job, programs)
    server, worker, chief = (tasks.start(kind) for kind in ("ps", "worker", "chief"))
    wait_until(lambda: job.log.exists() or chief.poll() is not None, "an epoch is done")

    server.kill()
    _, errors = chief.communicate(timeout=600)
    tasks.start("ps")
    again = tasks.start("chief")
    output, errors_again = again.communicate(timeout=900)

    assert chief.returncode == LOST, errors
    assert "error: lost a task of the cluster" in errors
    assert again.returncode == 0, errors_again
    assert json.loads(output.splitlines()[-1])["progress"]["step"] == EPOCHS * 17
    assert len(read_epochs(job.log)) == EPOCHS
    assert worker.poll() is None
