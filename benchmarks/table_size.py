"""Measures how the time of a training step depends on the size of an embedding table.

Two models that differ in the users' table alone, 100,000 rows and 10 million, take turns in one
process. Each batch names every user once, drawn from the whole table, so both look up and move
the same number of rows; the batches are made beforehand and kept in memory.
"""

import tfrec  # noqa: F401  it sets TensorFlow's environment, so it comes first

# isort: split
import json

import click
import numpy as np
import tensorflow as tf
from rates import Advance, measure_in_turns, median_rates
from two_tower_step import ITEM, USER, make_model, make_spec, steps_on

from tfrec.config import validate
from tfrec.features.parsing import ITEM_ROW, TIME, WEIGHT
from tfrec.training.config import TrainingConfig

DIM, BATCH, ITEMS = 64, 8192, 20_000
WANTED = 1.15
BATCHES = 64

EPILOGUE = """
\b
Examples:
  python benchmarks/table_size.py
  python benchmarks/table_size.py --quick
"""


@click.command(help=__doc__.partition("\n")[0], epilog=EPILOGUE)
@click.option("--quick", is_flag=True, help="1 million rows as the large table, and few rounds.")
@click.option("--optimizer", default="rowwise_adagrad", show_default=True, help="Of the tables.")
def main(quick: bool, optimizer: str) -> None:
    rounds, seconds, large = (2, 2.0, 1_000_000) if quick else (9, 8.0, 10_000_000)
    content = {
        "strategy": "single",
        "batch_size": BATCH,
        "optimizers": {"tables": {"kind": optimizer}},
    }
    config = validate(TrainingConfig, content)
    sides = {f"{users:,} rows": training(users, config) for users in (100_000, large)}
    rates = median_rates(measure_in_turns(sides, rounds, seconds))
    small_step, large_step = (BATCH / rate for rate in rates.values())
    print(f"at most {WANTED} times the small table's step is asked for")
    result = {
        "step_seconds_100k": round(small_step, 4),
        "step_seconds_10m": round(large_step, 4),
        "ratio": round(large_step / small_step, 3),
    }
    print(json.dumps(result))


def training(users: int, config: TrainingConfig) -> Advance:
    """Makes a function that makes training steps on batches kept in memory."""
    model = make_model(make_spec(users, ITEMS, DIM), config)
    random = np.random.default_rng(0)
    items = random.integers(ITEMS, size=[BATCHES, BATCH])
    columns = {
        USER: np.stack([random.choice(users, BATCH, replace=False) for _ in range(BATCHES)]),
        ITEM: items,
        ITEM_ROW: items,
        TIME: np.zeros_like(items),
        WEIGHT: np.ones([BATCHES, BATCH], np.float32),
    }
    return steps_on(model, tf.data.Dataset.from_tensor_slices(columns).repeat(), config)


if __name__ == "__main__":
    main()
