"""Measures our indexes against faiss and hnswlib, all tuned to the same recall.

The vectors are those of a model trained on Complete Journey, with its real held-out queries, and a
million made-up ones in clusters of very different sizes. Every side is set to the fewest partitions
or the shortest lists that reach the recall at 100; then all answer the same queries in turn, one by
one and 64 together. Ours run as in `tfrec serve`: a signature of a SavedModel.

- faiss: an inverted file with product quantisation and exact re-scoring (`IVF,PQ,RFlat`), of 4 bits
  or of 8 where those do not reach the recall; and a graph (`HNSW32`);
- hnswlib: a graph with 16 links per item;
- ScaNN alone: its Python package with the settings that ours were tuned to, called as faiss and
  hnswlib are. Between this row and ours is what a SavedModel takes.

`empty_model_one` is how often a second a SavedModel that only adds 1 is called one by one the same
way: no index in a SavedModel can be faster. The line at the end is of the million: `scann_qps` and
`vs_best_peer` for batches of 64.
"""

import tfrec  # noqa: F401  it sets TensorFlow's environment, so it comes first

# isort: split
import json
import math
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import faiss
import hnswlib
import numpy as np
import tensorflow as tf
from rates import measure_in_turns, median_rates
from rich.console import Console
from rich.table import Table
from scann import scann_ops_pybind

from tfrec.data.prepared import PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.evaluation.embedding_ranker import EmbeddingRanker
from tfrec.retrieval.brute_force import BruteForce
from tfrec.retrieval.config import Kind, Promise
from tfrec.retrieval.measure import first_items, measure_memory, measure_recall, traced
from tfrec.retrieval.tuning import Measurement, tune
from tfrec.serving.servable import Servable
from tfrec.stages.experiment import Experiment

K, TOGETHER, RECALL = 100, 64, 0.95
CONFIG = "configs/complete_journey.yaml"
_EMPTY = "empty model"

EPILOGUE = """
\b
Examples:
  python benchmarks/retrieval.py
  python benchmarks/retrieval.py --quick
"""

Search = Callable[[np.ndarray], np.ndarray]


class Side(NamedTuple):
    """An index that reaches the recall.

    Attributes:
      search: vectors `[n, dim]` -> rows `[n, K]`.
      recall: what it reaches.
      seconds: time that building it took.
      megabytes: what it holds.
      file_megabytes: what it takes on disk.
      chosen: the setting, of ours.
    """

    search: Search
    recall: float
    seconds: float
    megabytes: float
    file_megabytes: float
    chosen: Measurement | None = None


@click.command(help=__doc__.partition("\n")[0], epilog=EPILOGUE)
@click.option("--items", default=1_000_000, show_default=True, help="Made-up items.")
@click.option("--quick", is_flag=True, help="Few made-up items only, for a look.")
def main(items: int, quick: bool) -> None:
    faiss.omp_set_num_threads(2)
    if quick:
        measure("made up", *clusters(50_000), rounds=2, seconds=0.3)
        return
    measure("Complete Journey", *complete_journey(), rounds=9, seconds=0.7)
    measure("made up", *clusters(items), rounds=9, seconds=0.7)


def measure(
    name: str, vectors: np.ndarray, queries: np.ndarray, rounds: int, seconds: float
) -> None:
    """Builds all sides, lets them answer in turn, and prints a table and a line of JSON."""
    print(f"{name}: {len(vectors):,} items of {vectors.shape[1]} floats", flush=True)
    exact = first_items(traced(BruteForce(vectors), vectors.shape[1]), queries, K)
    sides: dict[str, Side] = {}
    for side_name, build in (
        ("brute force", lambda: ours("brute_force", vectors, queries)),
        ("Partitioned", lambda: ours("partitioned", vectors, queries)),
        ("ScaNN", lambda: ours("scann", vectors, queries)),
        ("ScaNN alone", lambda: scann_alone(vectors, queries, exact, sides["ScaNN"])),
        ("faiss IVF-PQ", lambda: faiss_partitions(vectors, queries, exact)),
        ("faiss HNSW", lambda: faiss_graph(vectors, queries, exact)),
        ("hnswlib", lambda: hnswlib_graph(vectors, queries, exact)),
    ):
        side = build()
        if side is None:
            print(f"  {side_name}: does not reach the recall, left out", flush=True)
            continue
        sides[side_name] = side
        print(f"  {side_name}: recall {side.recall:.3f}", flush=True)
    empty = {_EMPTY: Side(empty_model(vectors.shape[1]), 0.0, 0.0, 0.0, 0.0)}
    one = rates_of(sides | empty, queries, 1, rounds, seconds)
    many = rates_of(sides, queries, TOGETHER, rounds, seconds)
    columns = (
        "index",
        "recall@100",
        "one by one",
        f"{TOGETHER} together",
        "build s",
        "MB",
        "file MB",
    )
    table = Table(*columns)
    for side_name, side in sides.items():
        rates = f"{one[side_name]:,.0f}", f"{many[side_name]:,.0f}"
        sizes = f"{side.megabytes:,.0f}", f"{side.file_megabytes:,.0f}"
        table.add_row(side_name, f"{side.recall:.3f}", *rates, f"{side.seconds:.1f}", *sizes)
    Console(width=100).print(table)
    peers = [peer for peer in sides if peer.startswith(("faiss", "hnswlib"))]
    best = max(peers, key=lambda peer: many[peer])
    ratios = {
        "vs_best_peer": many["ScaNN"] / many[best],
        "vs_best_peer_one": one["ScaNN"] / max(one[peer] for peer in peers),
        "alone_vs_best_peer": many["ScaNN alone"] / many[best],
        "alone_vs_best_peer_one": one["ScaNN alone"] / max(one[peer] for peer in peers),
        "partitioned_vs_scann": many["Partitioned"] / many["ScaNN"],
        "partitioned_vs_scann_one": one["Partitioned"] / one["ScaNN"],
        "partitioned_vs_brute_force": many["Partitioned"] / many["brute force"],
        "partitioned_vs_brute_force_one": one["Partitioned"] / one["brute force"],
    }
    result = {
        "recall": round(sides["ScaNN"].recall, 4),
        "scann_qps": round(many["ScaNN"]),
        "best_peer": best,
        **{ratio: round(value, 2) for ratio, value in ratios.items()},
        "empty_model_one": round(one[_EMPTY]),
    }
    print(json.dumps(result), flush=True)


def rates_of(
    sides: dict[str, Side], queries: np.ndarray, together: int, rounds: int, seconds: float
) -> dict[str, float]:
    """Queries a second of each side."""

    def asks(side: Side) -> Callable[[], int]:
        batches = [queries[i : i + together] for i in range(0, len(queries) - together, together)]
        numbers: Iterator[int] = iter(range(10**9))

        def ask() -> int:
            side.search(batches[next(numbers) % len(batches)])
            return together

        return ask

    runs = {name: asks(side) for name, side in sides.items()}
    return median_rates(measure_in_turns(runs, rounds, seconds))


def ours(kind: Kind, vectors: np.ndarray, queries: np.ndarray) -> Side:
    started = time.perf_counter()
    tuned = tune(kind, vectors, queries, Promise(recall=RECALL, k=K))
    seconds = time.perf_counter() - started
    megabytes = measure_memory(tuned.index)
    search, size = served(
        tuned.index, lambda queries: tuned.index.search(queries, K)[0], vectors.shape[1]
    )
    return Side(search, tuned.chosen.recall, seconds, megabytes, size, tuned.chosen)


def scann_alone(vectors: np.ndarray, queries: np.ndarray, exact: np.ndarray, tuned: Side) -> Side:
    """Halves of a batch run at once: by itself ScaNN gives 256 queries to one of two threads."""
    chosen = tuned.chosen
    assert chosen is not None
    started = time.perf_counter()
    threshold = math.nan if "isotropic" in chosen.setting.split(", ") else 0.2
    builder = scann_ops_pybind.builder(vectors, K, "dot_product")
    builder = builder.tree(chosen.partitions, chosen.partitions, min(len(vectors), 250_000))
    builder = builder.score_ah(2, anisotropic_quantization_threshold=threshold).reorder(K)
    searcher = builder.build()
    seconds = time.perf_counter() - started
    setting = K, math.ceil(chosen.rescored * K), chosen.probed

    def search(batch: np.ndarray) -> np.ndarray:
        if len(batch) == 1:
            return searcher.search(batch[0], *setting)[0][np.newaxis]
        half = math.ceil(len(batch) / 2)
        return searcher.search_batched_parallel(batch, *setting, batch_size=half)[0]

    recall = measure_recall(search(queries).astype(np.int64), exact, queries, vectors)
    return Side(search, recall, seconds, tuned.megabytes, tuned.file_megabytes)


def empty_model(dim: int) -> Search:
    return served(tf.Module(), lambda queries: queries + 1, dim)[0]


def served(holder: tf.Module, search: Search, dim: int) -> tuple[Search, float]:
    """A function of a SavedModel as the server calls it, and the megabytes of its files."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        tf.saved_model.save(
            holder,
            directory,
            signatures=tf.function(
                lambda queries: {"rows": search(queries)},
                input_signature=[tf.TensorSpec([None, dim], tf.float32, "queries")],
                autograph=False,
            ),
            options=tf.saved_model.SaveOptions(namespace_whitelist=["Scann"]),
        )
        servable = Servable.load(path)
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
    signature = servable.signatures["serving_default"]

    def ask(batch: np.ndarray) -> np.ndarray:
        return servable.run_now(signature, {"queries": batch}, ["rows"])["rows"]

    return ask, size


def faiss_partitions(vectors: np.ndarray, queries: np.ndarray, exact: np.ndarray) -> Side | None:
    """4-bit codes are the fastest; 8-bit ones where those do not reach the recall."""
    for codes in ("x4fs", "x8"):
        side = faiss_codes(codes, vectors, queries, exact)
        if side is not None:
            return side
    return None


def faiss_codes(
    codes: str, vectors: np.ndarray, queries: np.ndarray, exact: np.ndarray
) -> Side | None:
    started = time.perf_counter()
    dim = vectors.shape[1]
    partitions = round(4 * math.sqrt(len(vectors)))
    description = f"IVF{partitions},PQ{dim // 2}{codes},RFlat"
    index = faiss.index_factory(dim, description, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:: max(1, len(vectors) // 250_000)])
    index.add(vectors)
    seconds = time.perf_counter() - started

    def set_to(probed: int, rescored: int) -> None:
        faiss.extract_index_ivf(index).nprobe = probed
        index.k_factor = rescored

    best, speed = None, 0.0
    for rescored in (2, 4, 8, 16, 32):
        before = 0.0
        for probed in sorted({max(1, round(partitions * 0.002 * 1.4**n)) for n in range(18)}):
            set_to(probed, rescored)
            asked = time.perf_counter()
            recall = measure_recall(index.search(queries, K)[1], exact, queries, vectors)
            rate = 1 / (time.perf_counter() - asked)
            if recall >= RECALL and rate > speed:
                best, speed = (probed, rescored, recall), rate
            if recall >= RECALL or recall < before + 0.002:
                break
            before = recall
    if best is None:
        return None
    set_to(best[0], best[1])
    size = len(faiss.serialize_index(index)) / 1e6
    return Side(lambda batch: index.search(batch, K)[1], best[2], seconds, size, size)


def faiss_graph(vectors: np.ndarray, queries: np.ndarray, exact: np.ndarray) -> Side:
    started = time.perf_counter()
    index = faiss.IndexHNSWFlat(vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 100
    index.add(vectors)
    seconds = time.perf_counter() - started

    def set_to(length: int) -> None:
        index.hnsw.efSearch = length

    recall = shortest(set_to, lambda batch: index.search(batch, K)[1], vectors, queries, exact)
    size = len(faiss.serialize_index(index)) / 1e6
    return Side(lambda batch: index.search(batch, K)[1], recall, seconds, size, size)


def hnswlib_graph(vectors: np.ndarray, queries: np.ndarray, exact: np.ndarray) -> Side:
    started = time.perf_counter()
    index = hnswlib.Index(space="ip", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), M=16, ef_construction=100)
    index.add_items(vectors, num_threads=2)
    seconds = time.perf_counter() - started

    def search(batch: np.ndarray) -> np.ndarray:
        return index.knn_query(batch, K, num_threads=2)[0].astype(np.int64)

    recall = shortest(index.set_ef, search, vectors, queries, exact)
    size = len(pickle.dumps(index)) / 1e6
    return Side(search, recall, seconds, size, size)


def shortest(
    set_to: Callable[[int], None],
    search: Search,
    vectors: np.ndarray,
    queries: np.ndarray,
    exact: np.ndarray,
) -> float:
    """Sets a graph's list to the shortest that reaches the recall, and returns what it reaches."""
    recall = 0.0
    for length in sorted({round(K * 1.15**n) for n in range(32)}):
        set_to(length)
        recall = measure_recall(search(queries), exact, queries, vectors)
        if recall >= RECALL:
            break
    return recall


def complete_journey() -> tuple[np.ndarray, np.ndarray]:
    """The catalogue's vectors, and those of held-out queries; trains where it has to."""
    experiment = Experiment.load(CONFIG)
    experiment.prepare()
    experiment.train()
    embeddings = experiment.index().embeddings()
    assert embeddings is not None
    model = tf.saved_model.load(str(experiment.trained.saved_model))
    queries = QuerySet.read_held_out(PreparedData(experiment.prepared.path))
    return embeddings, EmbeddingRanker(model, embeddings).embed(queries)[:1000]


def clusters(items: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of length 1 in 2,000 clusters within 50 larger ones, sized by Zipf's law."""
    random = np.random.default_rng(0)
    large = random.normal(size=(50, 64))
    centres = large[random.integers(50, size=2000)] + 0.7 * random.normal(size=(2000, 64))
    shares = np.arange(1, 2001) ** -0.8
    shares /= shares.sum()

    def draw(count: int) -> np.ndarray:
        vectors = centres[random.choice(2000, count, p=shares)]
        vectors = vectors + 0.55 * random.normal(size=vectors.shape)
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    return draw(items), draw(1000)


if __name__ == "__main__":
    main()
