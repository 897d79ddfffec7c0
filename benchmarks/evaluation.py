"""Measures full-ranking evaluation against TensorFlow Recommenders' streaming `FactorizedTopK`.

Both sides rank the whole catalogue by the dot product of the same made-up vectors, and measure the
share of shoppers whose one relevant item is among the first 10 and the first 100; their figures
must agree. Ours also looks for NaN and breaks ties by chance.

- theirs is the retrieval tutorial's: a `Streaming` layer over candidates in batches of 128, queries
  in a batch of 1,024, in a `tf.function`. Larger batches of candidates are measured, too, for they
  make it faster;
- ours is `tfrec.evaluation`: scores of a batch of shoppers, block maxima, lists, metrics.

They take turns. What excluding seen items adds and what intervals cost is printed.
"""

import tfrec  # noqa: F401  it sets TensorFlow's environment, so it comes first

# isort: split
import json
import time
from typing import Literal

import click
import numpy as np
import pyarrow as pa
import tensorflow as tf
import tensorflow_recommenders as tfrs
from rates import measure_in_turns, median_rates

from tfrec.data.events import USER
from tfrec.data.queries import RELEVANT, SEEN
from tfrec.data.query_set import QuerySet
from tfrec.evaluation.config import Protocol
from tfrec.evaluation.embedding_ranker import EmbeddingRanker
from tfrec.evaluation.evaluator import Evaluation, evaluate
from tfrec.evaluation.measures import Items

DIM = 64
SEEN_EACH = 30
CUTOFFS = (10, 100)
TUTORIAL_BATCH, LARGER_BATCHES = 128, (1024, 8192)
QUERIES_TOGETHER = 1024
WANTED = 20.0

EPILOGUE = """
\b
Examples:
  python benchmarks/evaluation.py
  python benchmarks/evaluation.py --users 100000 --items 100000
  python benchmarks/evaluation.py --quick
"""


class Given(EmbeddingRanker):
    """Ranks by vectors that are there already, in the column `row` of queries."""

    def __init__(self, queries: np.ndarray, items: np.ndarray) -> None:
        self._queries, self._items = queries, tf.constant(items)

    def embed(self, queries: QuerySet) -> np.ndarray:
        return self._queries[queries.table["row"].to_numpy()]


@click.command(help=__doc__.partition("\n")[0], epilog=EPILOGUE)
@click.option("--users", default=20_000, show_default=True, help="Shoppers that ours ranks for.")
@click.option("--items", default=90_000, show_default=True, help="Size of the catalogue.")
@click.option("--quick", is_flag=True, help="Fewer shoppers, for a look.")
def main(users: int, items: int, quick: bool) -> None:
    few, rounds, seconds = QUERIES_TOGETHER, 3, 5.0
    if quick:
        users, few, rounds, seconds = 2_000, 256, 2, 0.5
    random = np.random.default_rng(0)
    vectors = random.normal(size=(items, DIM)).astype(np.float32)
    wanted = random.integers(items, size=users)
    # Near enough to what is wanted for some hits, and far enough for some misses.
    queries = (vectors[wanted] + 2.5 * random.normal(size=(users, DIM))).astype(np.float32)
    print(f"{users:,} shoppers, {items:,} items, {DIM} floats, k of {CUTOFFS}", flush=True)

    ours = Ours(queries, vectors, wanted)
    theirs = {
        f"TFRS, candidates by {batch:,}": Theirs(queries[:few], vectors, wanted[:few], batch)
        for batch in (TUTORIAL_BATCH, *LARGER_BATCHES)
    }
    sides = {
        "tfrec": ours.keep,
        "tfrec, seen both ways": ours.both,
        **{name: side.measure for name, side in theirs.items()},
    }
    rates = measure_in_turns(sides, rounds, seconds)
    for side in theirs.values():
        np.testing.assert_allclose(side.hits(), ours.hits(few), atol=2e-3)
    medians = median_rates(rates)
    print(f"{ours.seconds_of_intervals():.1f} s for the intervals of both rankings")
    print(f"asked for are {WANTED:g} times TFRS as in its tutorial")
    rate, tutorial, *others = (medians[name] for name in ("tfrec", *theirs))
    result = {
        "users_per_second": round(rate),
        "vs_tfrs": round(rate / tutorial, 1),
        "vs_tfrs_best_batch": round(rate / max(tutorial, *others), 1),
    }
    print(json.dumps(result))


class Ours:
    """Evaluates all shoppers at a time."""

    def __init__(self, queries: np.ndarray, items: np.ndarray, wanted: np.ndarray) -> None:
        self._rankers = {"model": Given(queries, items)}
        self._items = Items(np.ones(len(items), np.int64))
        self._queries = make_query_set(wanted, len(items))

    def keep(self) -> int:
        self._kept = self._evaluate("keep")
        return len(self._queries)

    def both(self) -> int:
        self._both = self._evaluate("both")
        return len(self._queries)

    def hits(self, users: int) -> list[float]:
        """Mean hit rates of the first shoppers, by cut-off."""
        values = self._kept.measured["model"]["all"].values
        return [float(values[f"hit_rate@{k}"][:users].mean()) for k in CUTOFFS]

    def seconds_of_intervals(self) -> float:
        started = time.perf_counter()
        self._both.summary()
        return time.perf_counter() - started

    def _evaluate(self, seen: Literal["keep", "both"]) -> Evaluation:
        protocol = Protocol(k=CUTOFFS, metrics=("hit_rate",), seen=seen)
        return evaluate(self._rankers, self._queries, self._items, protocol)


class Theirs:
    """Measures a batch of queries at a time."""

    def __init__(
        self, queries: np.ndarray, items: np.ndarray, wanted: np.ndarray, batch: int
    ) -> None:
        data = tf.data.Dataset.from_tensor_slices((np.arange(len(items)), items)).batch(batch)
        search = tfrs.layers.factorized_top_k.Streaming(k=max(CUTOFFS)).index_from_dataset(data)
        self._metric = tfrs.metrics.FactorizedTopK(candidates=search, ks=CUTOFFS)
        self._batch = tuple(map(tf.constant, (queries, items[wanted], wanted)))

        @tf.function
        def step(queries: tf.Tensor, true: tf.Tensor, wanted: tf.Tensor) -> None:
            self._metric.update_state(queries, true, wanted)

        self._step = step

    def measure(self) -> int:
        self._metric.reset_states()
        self._step(*self._batch)
        return len(self._batch[0])

    def hits(self) -> list[float]:
        return [float(value) for value in self._metric.result()]


def make_query_set(wanted: np.ndarray, items: int) -> QuerySet:
    """Queries with one relevant item, and some that were seen."""
    users = len(wanted)
    seen = np.random.default_rng(1).integers(items, size=users * SEEN_EACH)
    columns = {
        USER: pa.array(np.arange(users).astype(str)),
        "row": pa.array(np.arange(users)),
        RELEVANT: pa.ListArray.from_arrays(np.arange(users + 1, dtype=np.int32), wanted),
        SEEN: pa.ListArray.from_arrays(
            np.arange(0, (users + 1) * SEEN_EACH, SEEN_EACH, dtype=np.int32), seen
        ),
    }
    return QuerySet(pa.table(columns))


if __name__ == "__main__":
    main()
