import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfrec.config import validate
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.errors import UserError
from tfrec.retrieval.config import IndexConfig
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.index import ItemIndex, index
from tfrec.stages.reporter import Reporter
from tfrec.stages.train import TrainedModel

DIM, K = 4, 10

_ASK_WITHOUT_SCANN = """
import sys
import tensorflow as tf

found = tf.saved_model.load(sys.argv[1])
queries = tf.reshape(tf.range(8, dtype=tf.float32), [2, 4])
ids, _ = found.search(queries, 5, tf.zeros([2, 0], tf.int64))
assert "scann" not in sys.modules
print(ids.numpy().tolist())
"""


class Hashes(tf.Module):
    """Embeds shoppers and items as numbers that follow from their letters."""

    def __init__(self, odd: float | None) -> None:
        """Takes what the vectors of some items are full of instead."""
        super().__init__()
        self.odd = odd

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "shopper")])
    def embed_query(self, shopper: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": _numbers(shopper)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def embed_item_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        vectors = _numbers(examples)
        if self.odd is not None:
            vectors = tf.where(vectors[:, :1] > 30, self.odd, vectors)
        return {"embedding": vectors}


class Warned(Reporter):
    """Remembers what it was warned of."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, what: str) -> None:
        self.warnings.append(what)


def _numbers(texts: tf.Tensor) -> tf.Tensor:
    hashes = [tf.strings.to_hash_bucket_fast(texts + str(number), 101) for number in range(DIM)]
    return tf.cast(tf.stack(hashes, 1), tf.float32) - 50


@pytest.fixture
def make(prepared: PreparedData, tmp_path: Path) -> Callable[..., ItemIndex]:
    """Indexes the shop's items by a config's fields."""

    def make(
        odd: float | None = None, reporter: Reporter | None = None, **fields: Any
    ) -> ItemIndex:
        def save(target: Path) -> dict[str, Any]:
            model = Hashes(odd)
            signatures = {
                "embed_query": model.embed_query,
                "embed_item_examples": model.embed_item_examples,
            }
            path = str(TrainedModel(target).saved_model)
            tf.saved_model.save(model, path, signatures=signatures)
            return {}

        trained = TrainedModel(produce("train", {}, {"odd": str(odd)}, tmp_path / "t", save).path)
        config = validate(IndexConfig, {"promise": {"k": K}, **fields}, "index")
        return index(config, Artifact(prepared.path), trained, tmp_path / "index", reporter)

    return make


def check_first_rows(path: Path, vectors: np.ndarray, queries: np.ndarray) -> None:
    loaded, nothing = tf.saved_model.load(str(path)), tf.zeros([len(queries), 0], tf.int64)
    ids, scores = loaded.search(queries, K, nothing)
    check_best(ids.numpy(), vectors, queries)
    expected = np.take_along_axis(queries @ vectors.T, ids.numpy(), axis=1)
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def check_best(ids: np.ndarray, vectors: np.ndarray, queries: np.ndarray) -> None:
    """Fails unless the ids are those of the best scores, in order; equal scores in any order."""
    scores = queries @ vectors.T
    best = -np.sort(-scores, axis=1)[:, : ids.shape[1]]
    np.testing.assert_allclose(np.take_along_axis(scores, ids, axis=1), best, rtol=1e-5)
    assert all(len(set(row)) == len(row) for row in ids.tolist())


def test_summary_says_what_was_chosen_of_what_was_measured(
    make: Callable[..., ItemIndex], prepared: PreparedData
) -> None:
    made = make(kind="partitioned", promise={"recall": 0.9, "k": K})

    summary, items = made.manifest.summary, len(prepared.item_counts(TRAIN))
    assert {name: summary[name] for name in ("items", "dim", "kind", "zero_vectors")} == {
        "items": items, "dim": DIM, "kind": "partitioned", "zero_vectors": 0,
    }  # fmt: skip
    chosen = summary["chosen"]
    assert chosen in summary["measured"]
    assert summary["recall@10"] == chosen["recall"] >= 0.9
    assert summary["milliseconds_per_query"] == chosen["milliseconds"] > 0
    assert summary["megabytes"] == chosen["megabytes"]
    assert summary["measured_on_queries"] > 10
    assert not made.twin.exists()


@pytest.mark.parametrize("kind", ["auto", "brute_force", "partitioned", "scann"])
def test_saved_index_answers_by_the_stored_vectors(
    make: Callable[..., ItemIndex], kind: str
) -> None:
    made = make(kind=kind, promise={"recall": 1.0, "k": K})
    queries = np.random.default_rng(0).normal(size=(5, DIM)).astype(np.float32)
    vectors = made.embeddings()
    assert vectors is not None

    check_first_rows(made.saved_model, vectors, queries)
    assert made.manifest.summary["kind"] == ("brute_force" if kind == "auto" else kind)
    if kind == "scann":
        check_first_rows(made.twin, vectors, queries)


def test_twin_of_a_scann_index_loads_where_there_is_no_scann(
    make: Callable[..., ItemIndex],
) -> None:
    made = make(kind="scann", promise={"recall": 1.0, "k": K})
    vectors = made.embeddings()
    assert vectors is not None

    done, refused = (
        subprocess.run(
            [sys.executable, "-c", _ASK_WITHOUT_SCANN, str(path)],
            capture_output=True, text=True, timeout=400, check=False,
        )
        for path in (made.twin, made.saved_model)
    )  # fmt: skip

    queries = np.arange(8, dtype=np.float32).reshape(2, 4)
    assert done.returncode == 0, done.stderr
    check_best(np.array(json.loads(done.stdout)), vectors, queries)
    assert "Scann>" in refused.stderr


def test_zero_vectors_are_counted_and_warned_of(make: Callable[..., ItemIndex]) -> None:
    heard = Warned()

    made = make(odd=0.0, reporter=heard)

    vectors = made.embeddings()
    assert vectors is not None
    zeros = int((vectors == 0).all(axis=1).sum())
    assert zeros > 0
    assert made.manifest.summary["zero_vectors"] == zeros
    assert heard.warnings == [
        f"{zeros} of {len(vectors)} item vectors are zero; the scores of these items are 0"
    ]


def test_vectors_of_a_model_that_has_diverged_are_refused(
    make: Callable[..., ItemIndex], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"^index: \d+ item vectors are not finite, the first in"):
        make(odd=float("nan"))

    assert not (tmp_path / "index" / "manifest.json").exists()


def test_promise_that_cannot_be_kept_leaves_no_artefact(
    make: Callable[..., ItemIndex], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"^index\.promise\.megabytes: 0\.0001 cannot be kept"):
        make(promise={"k": K, "megabytes": 0.0001})

    assert not (tmp_path / "index" / "manifest.json").exists()
