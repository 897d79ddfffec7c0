"""Measures training with one parameter server and one worker against training in one process.

Both sides train the same model on the same files of Examples, in turns: here, and by a worker
process whose tables are in a server process. Then both do parts of a step on batches in memory, so
that the table at the end tells where the time goes: each line is the time of one more part. What
the cluster takes longer for a lookup is asking, serialising and copying rows; for an update, the
same of gradients.
"""

import tfrec  # noqa: F401  it sets TensorFlow's environment, so it comes first

# isort: split
import json
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
import tensorflow as tf
from local_servers import local_servers
from rates import Name, measure_in_turns, median_rates
from two_tower_step import (
    ITEM,
    USER,
    make_model,
    make_spec,
    read_batches,
    write_examples,
    zipf_shares,
)

from tfrec.config import validate
from tfrec.data.input_pipeline import Batch
from tfrec.features.parsing import WEIGHT
from tfrec.training.config import TrainingConfig
from tfrec.training.step import TrainingStep, make_step
from tfrec.training.strategies import make_strategy

USERS, ITEMS, DIM, BATCH = 200_000, 50_000, 64, 8192
WANTED = 0.5
DISPATCHES = 4
KEPT_BATCHES = 16

Function = Callable[[Iterator[Batch]], object]
Part = Callable[[TrainingStep, Batch], tf.Tensor]

EPILOGUE = """
\b
Examples:
  python benchmarks/parameter_server.py
  python benchmarks/parameter_server.py --quick
"""


@dataclass(frozen=True)
class Side:
    """A way to train.

    Attributes:
      step: compiled.
      batches: what it reads from files, for ever.
      kept: some batches in memory, for ever.
      run: calls a function of batches `DISPATCHES` times and waits until that is done.
    """

    step: TrainingStep
    batches: Iterator[Batch]
    kept: Iterator[Batch]
    run: Callable[[Function, Iterator[Batch]], None]


@click.command(help=__doc__.partition("\n")[0], epilog=EPILOGUE)
@click.option("--quick", is_flag=True, help="Few rounds and events, for a look.")
def main(quick: bool) -> None:
    events, rounds, seconds = (100_000, 2, 1.0) if quick else (1_000_000, 5, 6.0)
    content = {"strategy": "parameter_server", "workers": 1, "batch_size": BATCH}
    config = validate(TrainingConfig, {**content, "parameter_servers": 1})
    with tempfile.TemporaryDirectory() as folder, local_servers(workers=1, servers=1):
        read = made_up_batches(Path(folder) / "examples", events, config)
        # What is made before this process is the cluster's chief cannot be used afterwards.
        sides = {
            "worker and server": on_cluster(config, read),
            "in one process": in_process(config, read),
        }
        training = {
            name: partial(side.run, side.step.make_train_function(), side.batches)
            for name, side in sides.items()
        }
        cluster, here = median_rates(measure(training, config, rounds, seconds)).values()
        show_parts(sides, config, rounds, seconds / 4)
    print(f"at least {WANTED} of the rate in one process is asked for")
    ratio = round(cluster / here, 2)
    print(json.dumps({"examples_per_second": round(cluster), "vs_in_process": ratio}))


def made_up_batches(
    folder: Path, events: int, config: TrainingConfig
) -> Callable[[], tf.data.Dataset]:
    """Writes Examples of events; users and items are popular by Zipf's law."""
    random = np.random.default_rng(0)
    user, item = (random.choice(n, events, p=zipf_shares(n, seed=n)) for n in (USERS, ITEMS))
    files, spec = write_examples(folder, user, item), make_spec(USERS, ITEMS, DIM)
    return lambda: read_batches(folder, files, spec, config)


def make_training(config: TrainingConfig) -> TrainingStep:
    model = make_model(make_spec(USERS, ITEMS, DIM), config)
    return make_step(model, config, config.steps_per_dispatch)


def in_process(config: TrainingConfig, read: Callable[[], tf.data.Dataset]) -> Side:
    """Trains here."""

    def run(function: Function, batches: Iterator[Batch]) -> None:
        for _ in range(DISPATCHES):
            function(batches)

    return Side(make_training(config), iter(read()), iter(keep(read())), run)


def on_cluster(config: TrainingConfig, read: Callable[[], tf.data.Dataset]) -> Side:
    """Has the worker train."""
    strategy = make_strategy(config)
    with strategy.scope():
        step = make_training(config)
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    batches, kept = (
        iter(coordinator.create_per_worker_dataset(dataset))
        for dataset in (read, lambda: keep(read()))
    )

    def run(function: Function, batches: Iterator[Batch]) -> None:
        for _ in range(DISPATCHES):
            coordinator.schedule(function, args=(batches,))
        coordinator.join()

    return Side(step, batches, kept, run)


def keep(batches: tf.data.Dataset) -> tf.data.Dataset:
    return batches.take(KEPT_BATCHES).cache().repeat()


def measure(
    runs: Mapping[Name, Callable[[], None]], config: TrainingConfig, rounds: int, seconds: float
) -> dict[Name, list[float]]:
    """Measures examples per second of whatever makes the steps of `DISPATCHES` dispatches."""
    examples = DISPATCHES * config.steps_per_dispatch * config.batch_size

    def advance(run: Callable[[], None]) -> int:
        run()
        return examples

    advances = {name: partial(advance, run) for name, run in runs.items()}
    return measure_in_turns(advances, rounds, seconds)


def show_parts(
    sides: Mapping[str, Side], config: TrainingConfig, rounds: int, seconds: float
) -> None:
    """Prints how long each part of a step takes: a step up to it, less a step up to the last."""
    runs = {
        (part, name): partial(side.run, repeated(side.step, do, config), side.kept)
        for part, do in PARTS.items()
        for name, side in sides.items()
    }
    rates = measure(runs, config, rounds, seconds)
    upto = [
        [1000 * config.batch_size / statistics.median(rates[part, name]) for name in sides]
        for part in PARTS
    ]
    lines = [*np.diff(upto, axis=0, prepend=0), upto[-1]]
    print(f"{'milliseconds of a step':24}" + "".join(f"{name:>20}" for name in sides))
    for part, milliseconds in zip([*PARTS, "all"], lines, strict=True):
        print(f"{part:24}" + "".join(f"{each:20.1f}" for each in milliseconds))


def repeated(step: TrainingStep, part: Part | None, config: TrainingConfig) -> Function:
    """Makes a function that does a part of a dispatch's steps, or nothing."""
    run_part = tf.autograph.experimental.do_not_convert(
        lambda batch: step.distribute_strategy.run(part, args=(step, batch))
    )

    @tf.function
    def run(batches: Iterator[Batch]) -> tf.Tensor:
        total = tf.constant(0.0)
        if part is not None:
            for _ in tf.range(config.steps_per_dispatch):
                tf.autograph.experimental.set_loop_options(parallel_iterations=1)
                total += run_part(next(batches))
        return total  # What does not enter it would be left out.

    return run


def read_only(step: TrainingStep, batch: Batch) -> tf.Tensor:
    return tf.reduce_sum(batch[WEIGHT])


def look_up(step: TrainingStep, batch: Batch) -> tf.Tensor:
    embedded = step.model.embedding({USER: batch[USER], ITEM: batch[ITEM]}, training=True)
    return tf.add_n([tf.reduce_sum(rows) for rows in embedded.values()])


def differentiate(step: TrainingStep, batch: Batch) -> tf.Tensor:
    loss, gradients = step._gradients(batch)
    slices = [getattr(gradient, "values", gradient) for gradient in gradients]
    return loss + tf.add_n([tf.reduce_sum(each) for each in slices])


def train(step: TrainingStep, batch: Batch) -> tf.Tensor:
    return step.train_step(batch)["loss"]


PARTS: dict[str, Part | None] = {
    "dispatch": None,
    "batch from memory": read_only,
    "lookup": look_up,
    "loss and gradients": differentiate,
    "update": train,
}


if __name__ == "__main__":
    main()
