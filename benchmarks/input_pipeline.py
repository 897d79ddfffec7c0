"""Measures the training input pipeline alone, beside the training step that it feeds.

Complete Journey is prepared by the framework's own stage, once, in the user's cache directory. Both
sides run in this process and take turns, so that another program's load falls on both. The step
trains on batches kept in memory: what it takes of time is the model's alone.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import platformdirs

from tfrec.data.input_pipeline import read_shuffled
from tfrec.data.prepared import TRAIN
from tfrec.features.parsing import ITEM_ROW
from tfrec.stages.experiment import Experiment
from tfrec.training.job import TrainingJob
from tfrec.training.trainer import example_weight

if TYPE_CHECKING:
    # At run time tfrec sets TensorFlow's environment before it imports it.
    import tensorflow as tf

CONFIG = Path(__file__).parents[1] / "configs" / "complete_journey.yaml"
WANTED = 3.0
BATCHES_IN_MEMORY = 16

EPILOGUE = """
\b
Examples:
  python benchmarks/input_pipeline.py
  python benchmarks/input_pipeline.py --quick
  python benchmarks/input_pipeline.py --prepared runs/complete_journey/prepare
"""


@click.command(help=__doc__.partition("\n")[0], epilog=EPILOGUE)
@click.option("--quick", is_flag=True, help="Under a minute once the data is prepared.")
@click.option("--prepared", type=Path, help="Complete Journey, as already prepared.")
def main(quick: bool, prepared: Path | None) -> None:
    job = make_job(prepared)
    rounds, seconds = (3, 2.0) if quick else (7, 10.0)
    sides = {"input pipeline": reading(job), "training step": training(job)}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, advance in sides.items():
            rates[name].append(examples_per_second(advance, seconds))
    for name, measured in rates.items():
        print(
            f"{name}: {statistics.median(measured):,.0f} examples/s "
            f"({min(measured):,.0f} to {max(measured):,.0f} in {rounds} rounds)"
        )
    read, trained = (statistics.median(measured) for measured in rates.values())
    print(f"at least {WANTED} times the training step is asked for")
    print(json.dumps({"examples_per_second": round(read), "vs_training": round(read / trained, 2)}))


def make_job(prepared: Path | None) -> TrainingJob:
    """Describes training on the demo's data, which is prepared if none is given."""
    runs = platformdirs.user_cache_path("tfrec") / "benchmarks"
    experiment = Experiment.load(CONFIG, overrides={"runs": str(runs)})
    return TrainingJob(
        features=experiment.config.features,
        model=experiment.config.model,
        training=experiment.config.training,
        prepared=prepared or experiment.prepare().path,
        output=runs,
    )


def read_training(job: TrainingJob) -> "tf.data.Dataset":
    """Reads as training on one device does."""
    part = job.data.parts[TRAIN]
    return read_shuffled(
        job.data.examples(TRAIN),
        part.files,
        job.features,
        job.training.batch_size,
        job.training.seed,
        example_weight(job.training, part.last or 0),
    )


def reading(job: TrainingJob) -> Callable[[], int]:
    """Makes a function that reads a batch and returns its length."""
    batches = iter(read_training(job))
    return lambda: len(next(batches)[ITEM_ROW])


def training(job: TrainingJob) -> Callable[[], int]:
    """Makes a function that makes training steps and returns on how many examples."""
    steps = job.training.steps_per_dispatch
    model = job.build_model()
    model.compile("adagrad", steps_per_execution=steps)
    kept = read_training(job).take(BATCHES_IN_MEMORY).cache()
    list(kept)  # A whole pass fills the cache.
    batches = iter(kept.repeat())
    step = model.make_train_function()

    def train() -> int:
        step(batches)
        return steps * job.training.batch_size

    return train


def examples_per_second(advance: Callable[[], int], seconds: float) -> float:
    """Measures for some seconds, after as many to warm up as a fifth of them."""
    run_for(advance, seconds / 5)
    examples, took = run_for(advance, seconds)
    return examples / took


def run_for(advance: Callable[[], int], seconds: float) -> tuple[int, float]:
    started, examples = time.perf_counter(), 0
    while (took := time.perf_counter() - started) < seconds:
        examples += advance()
    return examples, took


if __name__ == "__main__":
    main()
