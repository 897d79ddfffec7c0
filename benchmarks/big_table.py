"""Measures training of a table of 20 million rows over two parameter servers on this machine.

The servers' memory, while a worker trains on rows drawn from the whole table, stands beside what
the planner says. Then a checkpoint is written while training goes on: how long that takes, and how
long the longest pause between two steps is meanwhile. Memory at its highest, when the table is made
and when it is saved, is printed too.
"""

import tfrec  # noqa: F401  it sets TensorFlow's environment, so it comes first

# isort: split
import collections
import json
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import numpy as np
import tensorflow as tf
from local_servers import local_servers
from two_tower_step import ITEM, USER, make_model, make_spec, plan_of

from tfrec.config import validate
from tfrec.data.input_pipeline import Batch
from tfrec.embeddings.planner import Batch as StepBatch
from tfrec.embeddings.planner import Plan, plan_tables
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, TIME, WEIGHT
from tfrec.stages.plan import assumed_demands, layout_of
from tfrec.training.checkpoints import Checkpoints
from tfrec.training.config import TrainingConfig
from tfrec.training.processes import TaskProcess
from tfrec.training.step import make_step
from tfrec.training.strategies import make_strategy

DIM, BATCH, ITEMS, SERVERS = 64, 8192, 20_000, 2
WANTED = 0.1
STEPS_IN_FLIGHT = 2
COPIED_BYTES = 256 * 1024**2

EPILOGUE = """
\b
Examples:
  python benchmarks/big_table.py
  python benchmarks/big_table.py --quick
  python benchmarks/big_table.py --folder /mnt/scratch
"""


@click.command(help=__doc__.partition("\n")[0], epilog=EPILOGUE)
@click.option("--quick", is_flag=True, help="200,000 rows, for a look.")
@click.option("--folder", type=Path, help="Where the checkpoint goes for a while.")
def main(quick: bool, folder: Path | None) -> None:
    rows, seconds = (200_000, 5.0) if quick else (20_000_000, 60.0)
    content = {"strategy": "parameter_server", "workers": 1, "batch_size": BATCH}
    config = validate(TrainingConfig, {**content, "parameter_servers": SERVERS})
    spec = make_spec(rows, ITEMS, DIM)
    plan = plan_on_servers(spec, config)
    with tempfile.TemporaryDirectory(dir=folder) as scratch, local_servers(1, SERVERS) as cluster:
        check_disk(Path(scratch), plan)
        memory = Memory(cluster.servers)
        training = Training(spec, config)
        memory.show("the tables are made")
        training.go_on(seconds / 4)  # warms up
        memory.forget_peak()
        step_seconds = statistics.median(training.go_on(seconds))
        memory.show(f"training, {step_seconds:.3f} s a step")
        measured = memory.held_bytes
        memory.forget_peak()
        # The first one also waits for memory that the machine has never given out before.
        for number in ("first", "second"):
            target = Path(scratch) / number
            checkpoint_seconds = save(training, target, step_seconds)
            memory.show(f"a {number} checkpoint is written")
            shutil.rmtree(target)
            training.go_on(seconds / 12)
    planned = sum(plan.held_bytes)
    print(f"planned: {planned / 1e9:.2f} GB, at most {sum(plan.peak_bytes) / 1e9:.2f} GB")
    print(f"measured within {WANTED:.0%} of planned is asked for: {measured / planned - 1:+.1%}")
    result = {
        "rows": rows,
        "measured_bytes": measured,
        "planned_bytes": planned,
        "checkpoint_seconds": round(checkpoint_seconds, 1),
    }
    print(json.dumps(result))


def plan_on_servers(spec: FeatureSpec, config: TrainingConfig) -> Plan:
    tables = plan_of(spec)
    demands = assumed_demands(spec, tables)
    optimizers, layout = config.optimizers.of_table, layout_of(config)
    return plan_tables(tables, optimizers, layout, demands, StepBatch(BATCH))


def check_disk(folder: Path, plan: Plan) -> None:
    needed, free = sum(plan.held_bytes), shutil.disk_usage(folder).free
    if free < needed:
        raise click.ClickException(
            f"{folder}: {free:,} bytes free, {needed:,} needed; see --folder"
        )


class Memory:
    """The resident memory of some processes, as Linux tells it."""

    def __init__(self, processes: Sequence[TaskProcess]) -> None:
        self._folders = [Path(f"/proc/{process.status().pid}") for process in processes]

    @property
    def held_bytes(self) -> int:
        """Of all together, now."""
        return self._sum("VmRSS")

    def forget_peak(self) -> None:
        """Has peaks count from now on."""
        for folder in self._folders:
            (folder / "clear_refs").write_text("5")

    def show(self, when: str) -> None:
        held, peak = self.held_bytes / 1e9, self._sum("VmHWM") / 1e9
        print(f"{when}: servers hold {held:.2f} GB, at most {peak:.2f} GB", flush=True)

    def _sum(self, field: str) -> int:
        return (
            sum(_kibibytes((folder / "status").read_text(), field) for folder in self._folders)
            * 1024
        )


def _kibibytes(status: str, field: str) -> int:
    return int(re.search(rf"{field}:\s+(\d+) kB", status)[1])


class Training:
    """Training on the cluster, a dispatch a step.

    Attributes:
      state: what a checkpoint of it holds.
    """

    def __init__(self, spec: FeatureSpec, config: TrainingConfig) -> None:
        strategy = make_strategy(config)
        with strategy.scope():
            model = make_model(spec, config)
            step = make_step(model, config)
            self._function = step.make_train_function()
        self.state = tf.train.Checkpoint(model=model, optimizer=step.optimizer)
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
        users = spec[USER].rows
        batches = self._coordinator.create_per_worker_dataset(lambda: uniform_batches(users))
        self._batches = iter(batches)

    def go_on(self, seconds: float) -> list[float]:
        """Trains for some time; returns the seconds between the ends of its steps."""
        return self.go_on_while(lambda started: time.perf_counter() - started < seconds)

    def go_on_while(self, wanted: Callable[[float], bool]) -> list[float]:
        """Trains while a function of the time when it began says so; returns likewise."""
        started = time.perf_counter()
        ends = [started]
        in_flight: collections.deque = collections.deque()
        while wanted(started):
            while len(in_flight) < STEPS_IN_FLIGHT:
                args = (self._batches,)
                in_flight.append(self._coordinator.schedule(self._function, args=args))
            in_flight.popleft().fetch()
            ends.append(time.perf_counter())
        self._coordinator.join()
        return np.diff(ends).tolist()


def uniform_batches(users: int) -> tf.data.Dataset:
    """Draws users from the whole table, the hardest that can be for memory."""

    def draw(number: tf.Tensor) -> Batch:
        shape, seed = [BATCH], tf.stack([number, tf.zeros_like(number)])
        user = tf.random.stateless_uniform(shape, seed, 0, users, tf.int64)
        item = user % ITEMS
        moment = tf.zeros(shape, tf.int64)
        return {USER: user, ITEM: item, ITEM_ROW: item, TIME: moment, WEIGHT: tf.ones(shape)}

    return tf.data.Dataset.counter().map(draw).prefetch(2)


def save(training: Training, folder: Path, step_seconds: float) -> float:
    """Writes a checkpoint while training goes on; returns how many seconds it took."""
    folder.mkdir()
    checkpoints = Checkpoints(training.state, folder)
    with ThreadPoolExecutor(1) as thread:
        started = time.perf_counter()
        saving = thread.submit(checkpoints.save)
        gaps = training.go_on_while(lambda _: not saving.done())
        saving.result()
    seconds = time.perf_counter() - started
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(
        f"checkpoint: {size / 1e9:.2f} GB in {seconds:.1f} s, {len(gaps)} steps meanwhile; the "
        f"longest pause between two was {max(gaps, default=seconds):.2f} s, {step_seconds:.3f} s "
        f"otherwise; one server's half is copied in {copy_seconds() * size / SERVERS:.2f} s"
    )
    return seconds


def copy_seconds() -> float:
    """Measures the copying of memory: seconds per byte."""
    source = np.ones(COPIED_BYTES, np.uint8)
    started = time.perf_counter()
    source.copy()
    return (time.perf_counter() - started) / COPIED_BYTES


if __name__ == "__main__":
    main()
