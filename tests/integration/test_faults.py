"""Processes that are killed, stopped or starved while they train; `pytest -s` shows the losses."""

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
from jobs import Watched, once, write_job
from shop import Shop

from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.errors import UserError
from tfrec.training.progress import Progress

pytestmark = pytest.mark.timeout(1800)

EPOCHS = 60
KILL_AT = 60
FILL_AT = 20
"""Behind the first checkpoint."""
TIMEOUT_SECONDS = 60
TOLERANCE = 0.05
SPARE_BLOCKS = 8


@pytest.fixture(scope="module")
def undisturbed(
    shop: Shop, prepared: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> float:
    """Last loss of two workers and a server that nothing happens to."""
    job = write_job(
        shop, prepared, tmp_path_factory.mktemp("undisturbed"), workers=2, epochs=EPOCHS
    )
    epochs = Watched(job).go()
    assert len(epochs) == EPOCHS
    return epochs[-1].loss


def show(fault: str, run: Watched, loss: float, undisturbed: float) -> None:
    print(f"\n{fault}: final loss {loss:.4f}, undisturbed {undisturbed:.4f}")
    for state in run.states:
        print(f"  {state}")


def test_a_killed_worker_rejoins_while_training_goes_on(
    shop: Shop, prepared: PreparedData, tmp_path: Path, undisturbed: float
) -> None:
    job = write_job(shop, prepared, tmp_path, workers=2, epochs=EPOCHS)
    run = Watched(job, once(KILL_AT, lambda run: run.send(signal.SIGKILL, "worker-1")))

    epochs = run.go()

    show("worker killed", run, epochs[-1].loss, undisturbed)
    assert [epoch.epoch for epoch in epochs] == list(range(1, EPOCHS + 1))
    assert epochs[-1].loss == pytest.approx(undisturbed, rel=TOLERANCE)
    assert "worker-1 was killed by SIGKILL; starts again in 1 s" in run.states
    assert run.tasks["chief-0"].restarts == 0
    assert run.tasks["worker-1"].restarts == 1
    assert others_went_on(run.told)
    assert came_back(run.told)


def others_went_on(told: list[Progress]) -> bool:
    """Whether worker 0 made steps between two reports in which worker 1 made none."""
    return any(
        later.worker_steps[0] > earlier.worker_steps[0] + 10
        and later.worker_steps[1] == earlier.worker_steps[1]
        for earlier, later in zip(told, told[3:], strict=False)
        if earlier.step > KILL_AT
    )


def came_back(told: list[Progress]) -> bool:
    """Whether worker 1 made steps after it stood still."""
    steps = [progress.worker_steps[1] for progress in told if progress.step > KILL_AT]
    still = next((n for n in range(3, len(steps)) if steps[n] == steps[n - 3]), None)
    return still is not None and steps[-1] > steps[still]


def test_a_stopped_worker_is_killed_and_rejoins(
    shop: Shop, prepared: PreparedData, tmp_path: Path, undisturbed: float
) -> None:
    job = write_job(
        shop, prepared, tmp_path, workers=2, epochs=EPOCHS, worker_timeout=f"{TIMEOUT_SECONDS}s"
    )
    run = Watched(job, once(KILL_AT, lambda run: run.send(signal.SIGSTOP, "worker-1")))

    epochs = run.go()

    show("worker stopped", run, epochs[-1].loss, undisturbed)
    assert len(epochs) == EPOCHS
    assert epochs[-1].loss == pytest.approx(undisturbed, rel=TOLERANCE)
    hung = f"worker-1 hung for {TIMEOUT_SECONDS} s and was killed; starts again in 1 s"
    assert hung in run.states
    assert run.tasks["worker-1"].restarts == 1


def test_a_killed_server_sets_training_back_to_the_last_checkpoint_and_no_further(
    shop: Shop, prepared: PreparedData, tmp_path: Path, undisturbed: float
) -> None:
    job = write_job(shop, prepared, tmp_path, workers=2, epochs=EPOCHS)
    run = Watched(job, once(KILL_AT, lambda run: run.send(signal.SIGKILL, "ps-0")))

    epochs = run.go()

    show("server killed", run, epochs[-1].loss, undisturbed)
    assert [epoch.epoch for epoch in epochs] == list(range(1, EPOCHS + 1))
    assert epochs[-1].loss == pytest.approx(undisturbed, rel=TOLERANCE)
    assert "ps-0 was killed by SIGKILL; all tasks start again" in run.states
    assert {task.restarts for task in run.tasks.values()} == {1}
    steps = [progress.step for progress in run.told]
    assert min(itertools.dropwhile(lambda step: step < KILL_AT, steps)) >= KILL_AT // 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system of 32 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)]
    with contextlib.suppress(FileNotFoundError):
        if subprocess.run(mount, capture_output=True, check=False).returncode == 0:
            yield folder
            subprocess.run(["umount", "-l", str(folder)], check=True)
            return
    pytest.skip("mounting a file system needs root")


def test_a_full_disk_ends_training_and_leaves_a_whole_checkpoint(
    shop: Shop, prepared: PreparedData, tmp_path: Path, small_disk: Path
) -> None:
    job = write_job(shop, prepared, small_disk / "run", epochs=30)
    filler = small_disk / "filler"

    def fill(run: Watched, progress: Progress) -> None:
        """Leaves room for lines of logs, but not for a checkpoint, also where one was removed."""
        space = os.statvfs(small_disk)
        blocks = space.f_bavail - SPARE_BLOCKS
        if progress.step >= FILL_AT and blocks > 0:
            # A checkpoint that is being written may take the room first.
            with contextlib.suppress(OSError), filler.open("ab") as file:
                file.write(bytes(blocks * space.f_bsize))

    with pytest.raises(
        UserError, match=rf"^{job.output}: .*ckpt-.*No space left on device.*--resume"
    ) as caught:
        Watched(job, fill).go(tmp_path / "logs")
    last = tf.train.latest_checkpoint(str(job.checkpoints))
    assert last is not None
    for name, _ in tf.train.list_variables(last):
        tf.train.load_variable(last, name)
    filler.unlink()
    epochs = Watched(job).go(tmp_path / "logs")

    print(f"\ndisk full: {caught.value}\n  then, with room: {len(epochs)} epochs")
    assert [epoch.epoch for epoch in epochs] == list(range(1, 31))
    assert not list(job.checkpoints.glob("*_temp"))


@pytest.fixture
def own_data(prepared: PreparedData, tmp_path: Path) -> PreparedData:
    """A copy of the prepared data, to be damaged."""
    return PreparedData(shutil.copytree(prepared.path, tmp_path / "prepared"))


def test_a_damaged_shard_ends_training_by_its_name(
    shop: Shop, own_data: PreparedData, tmp_path: Path
) -> None:
    shard = sorted(own_data.examples(TRAIN).glob("*.tfrecord"))[-1]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    shard.write_bytes(content)
    job = write_job(shop, own_data, tmp_path / "run")

    with pytest.raises(UserError, match=rf"^{re.escape(str(shard))}: .*corrupted record") as caught:
        Watched(job).go()

    print(f"\nshard damaged: {caught.value}")


def test_a_missing_shard_ends_training_by_its_name(
    shop: Shop, own_data: PreparedData, tmp_path: Path
) -> None:
    shard = min(own_data.examples(TRAIN).glob("*.tfrecord"))
    shard.unlink()
    job = write_job(shop, own_data, tmp_path / "run", strategy="single")

    with pytest.raises(UserError, match=rf"^{re.escape(str(shard))}: .*No such file") as caught:
        Watched(job).go()

    print(f"\nshard missing: {caught.value}")
