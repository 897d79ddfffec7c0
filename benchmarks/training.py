"""Measures training on one device against TensorFlow Recommenders' two-tower tutorial.

Both sides learn from the same made-up events, with batches and dimensions of the same size, in one
process in which they take turns:

- theirs is the tutorial's: `StringLookup`, `Embedding` and `tfrs.tasks.Retrieval`, without metrics,
  fed with cached batches of strings; its optimiser is Adagrad for the small tables, as there, and
  Adam for the large ones;
- ours is the `TwoTower` template in the step and with the optimisers of a real run, fed from files
  of transformed Examples. It does more: it reads and shuffles, projects and normalises both
  vectors, hides values and corrects for popularity.

What the ratio depends on is printed for several sizes of batch.
"""

import tfrec  # noqa: F401  it sets TensorFlow's environment, so it comes first

# isort: split
import json
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import click
import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras
from rates import Advance, measure_in_turns, median_rates
from two_tower_step import (
    make_model,
    make_spec,
    read_batches,
    steps_on,
    write_examples,
    zipf_shares,
)

from tfrec.config import validate
from tfrec.training.config import TrainingConfig

DIM = 32  # the tutorial's
WANTED_SMALL, WANTED_LARGE = 3.0, 10.0

EPILOGUE = """
\b
Examples:
  python benchmarks/training.py
  python benchmarks/training.py --quick
"""


@dataclass(frozen=True)
class Shop:
    """Made-up events of users and items that are popular by Zipf's law.

    Attributes:
      users: rows of the users' table.
      items: rows of the items' table.
      events: number of them.
    """

    users: int
    items: int
    events: int

    @cached_property
    def user(self) -> np.ndarray:
        return self._draw(self.users, seed=1)

    @cached_property
    def item(self) -> np.ndarray:
        return self._draw(self.items, seed=2)

    def _draw(self, values: int, seed: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        return random.choice(values, self.events, p=zipf_shares(values, seed))


@click.command(help=__doc__.partition("\n")[0], epilog=EPILOGUE)
@click.option("--quick", is_flag=True, help="Smaller tables and few rounds, for a look.")
def main(quick: bool) -> None:
    small = Shop(users=10_000, items=10_000, events=500_000)
    large = Shop(users=4_500_000, items=500_000, events=2_000_000)
    rounds, seconds, batches = 5, 5.0, (1024, 4096, 8192)
    if quick:
        large = Shop(users=180_000, items=20_000, events=500_000)
        rounds, seconds, batches = 2, 1.0, (8192,)
    ratios = {}
    for batch in batches:
        ours, ratio = compare(small, batch, rounds, seconds, "adagrad")
        ratios[batch] = ratio
    _, ratio_large = compare(large, batches[-1], rounds, seconds, "lazy_adam")
    print(f"asked for are {WANTED_SMALL} times at the small tables, {WANTED_LARGE} at the large")
    result = {
        "examples_per_second": round(ours),
        "vs_tfrs_small": round(ratios[batches[-1]], 2),
        "vs_tfrs_large": round(ratio_large, 1),
    }
    print(json.dumps(result))


def compare(
    shop: Shop, batch_size: int, rounds: int, seconds: float, optimizer: str
) -> tuple[float, float]:
    """Measures both sides; returns our examples per second, and their multiple of theirs."""
    distinct = len(np.unique(shop.item[:batch_size]))
    print(
        f"{shop.users + shop.items:,} rows of {DIM} floats, batches of {batch_size:,} with "
        f"{distinct:,} different items, {optimizer}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "tfrec": ours(shop, batch_size, optimizer, Path(folder)),
            "TFRS tutorial": theirs(shop, batch_size, optimizer),
        }
        medians = median_rates(measure_in_turns(sides, rounds, seconds))
    return medians["tfrec"], medians["tfrec"] / medians["TFRS tutorial"]


def ours(shop: Shop, batch_size: int, optimizer: str, folder: Path) -> Advance:
    """Makes steps of the framework's training."""
    settings = {"kind": optimizer}
    content = {
        "strategy": "single",
        "batch_size": batch_size,
        "optimizers": {"tables": settings, "dense": settings},
    }
    config = validate(TrainingConfig, content)
    spec = make_spec(shop.users, shop.items, DIM)
    files = write_examples(folder / "examples", shop.user, shop.item)
    counts = np.bincount(shop.item, minlength=shop.items)
    model = make_model(spec, config, counts / counts.sum())
    return steps_on(model, read_batches(folder / "examples", files, spec, config), config)


def theirs(shop: Shop, batch_size: int, optimizer: str) -> Advance:
    """Makes steps of the tutorial's training."""
    model = Tutorial(np.arange(shop.users).astype(str), np.arange(shop.items).astype(str))
    model.compile(
        {
            "adagrad": tf_keras.optimizers.Adagrad(learning_rate=0.1),
            "lazy_adam": tf_keras.optimizers.Adam(),
        }[optimizer]
    )
    events = {"user_id": shop.user.astype(str), "movie_title": shop.item.astype(str)}
    cached = tf.data.Dataset.from_tensor_slices(events)
    cached = cached.shuffle(100_000).batch(batch_size, drop_remainder=True).cache()
    for _ in cached:  # A whole pass fills the cache.
        pass
    train, batches = model.make_train_function(), iter(cached.repeat())

    def advance() -> int:
        train(batches)
        return batch_size

    return advance


class Tutorial(tfrs.Model):
    """The model of https://www.tensorflow.org/recommenders/examples/basic_retrieval."""

    def __init__(self, user_ids: np.ndarray, titles: np.ndarray) -> None:
        super().__init__()
        self.user_model = self._embedding(user_ids)
        self.movie_model = self._embedding(titles)
        self.task = tfrs.tasks.Retrieval()

    def compute_loss(self, features: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        users = self.user_model(features["user_id"])
        return self.task(users, self.movie_model(features["movie_title"]))

    def _embedding(self, vocabulary: np.ndarray) -> tf_keras.Model:
        return tf_keras.Sequential(
            [
                tf_keras.layers.StringLookup(vocabulary=vocabulary, mask_token=None),
                tf_keras.layers.Embedding(len(vocabulary) + 1, DIM),
            ]
        )


if __name__ == "__main__":
    main()
