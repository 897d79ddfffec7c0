"""What a trained model answers, computed apart from any bundle."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.data.catalogue import Catalogue
from tfrec.data.query_set import QuerySet
from tfrec.models.signatures import (
    EMBED_ITEM,
    EMBED_QUERY,
    EMBEDDING,
    ITEMS,
    RANK,
    SCORE_CATALOGUE,
)
from tfrec.retrieval.filters import NEW_ITEMS
from tfrec.retrieval.reranking import Rules
from tfrec.serving.feature_inputs import feature_inputs
from tfrec.serving.names import DEFAULT, EXCLUDE, FILTERED, IDS, RECALL, RECOMMEND, SCORES, K
from tfrec.serving.verify import StoredRequest
from tfrec.stages.index import ItemIndex
from tfrec.stages.train import TrainedModel

_QUERIES, _ITEMS = 100, 100
_RANKED, _EXCLUDED = 10, 3
_DEEPER = 2
# Pairs of a query and an item: a ranker's networks take each one, a product of vectors does not.
_RANKED_PAIRS, _SCORED_TOGETHER = 200_000, 20_000_000

Signatures = Mapping[str, Mapping[str, tf.TensorSpec]]


def expected_answers(
    trained: TrainedModel,
    indexed: ItemIndex,
    catalogue: Catalogue,
    item_feature: str,
    queries: QuerySet,
    default_k: int,
    rules: Rules | None,
    signatures: Signatures,
) -> list[StoredRequest]:
    """Asks a trained model held-out queries, and scores the catalogue exactly.

    Up to 100 queries are asked; of a model that scores the whole catalogue, as many as make
    200,000 scores. `recommend` is to leave out each query's best three items.

    Args:
      trained: the model.
      indexed: its index; the catalogue's vectors are taken of it, and the recall measured.
      catalogue: the items of the index.
      item_feature: the item feature that holds the items' ids.
      queries: held-out queries.
      default_k: items that `serving_default` returns.
      rules: the `reranking` section; the scores that rules give are not expected.
      signatures: what the bundle's signatures take; see `export_bundle`.

    Returns:
      Requests for each signature that answers queries, and for the model's own.
    """
    model = tf.saved_model.load(str(trained.saved_model))
    vectors, items = indexed.embeddings(), len(catalogue)
    count = _QUERIES if vectors is not None else _RANKED_PAIRS // items
    asked = QuerySet(queries.table.slice(0, min(max(count, 1), _QUERIES)))
    features = asked.inputs(list(signatures[DEFAULT]))
    k = min(default_k if rules else _promised(indexed)["k"], items)
    depth = _DEEPER * max(k, default_k) * (rules.candidates if rules else 1) + _EXCLUDED
    if vectors is None:
        own = [_ask(model, SCORE_CATALOGUE, features)]
        scores, rows = _best(own[0].expected[SCORES], None, depth)
    else:
        own = [_ask(model, EMBED_QUERY, features)]
        scores, rows = _best(own[0].expected[EMBEDDING], vectors, depth)
    ids = np.where(np.isfinite(scores), catalogue.ids[rows], "")
    if RANK in model.signatures:
        own.append(_ask(model, RANK, {**features, ITEMS: ids[:, :_RANKED]}))
    if EMBED_ITEM in model.signatures:
        own.append(_ask(model, EMBED_ITEM, _some_items(model, catalogue, item_feature)))
    exclude = ids[:, : min(_EXCLUDED, items - 1)]
    given = {**features, K: np.int32(k), EXCLUDE: exclude, NEW_ITEMS: np.int32(0)}
    expected = {IDS: ids, SCORES: scores}
    if rules:
        pinned = np.tile(np.array([*rules.pinned], object), [len(ids), 1])
        expected = {IDS: np.concatenate([ids, pinned], 1)}
    return own + _lists(given, expected, _measured_recall(indexed), signatures)


def _promised(indexed: ItemIndex) -> dict[str, Any]:
    return indexed.manifest.config["promise"]


def _measured_recall(indexed: ItemIndex) -> float:
    """What both the index and its twin keep; a model's own scores are searched exactly."""
    chosen = indexed.manifest.summary.get("chosen", {"recall": 1.0})["recall"]
    return min(chosen, _promised(indexed)["recall"]) if indexed.twin.exists() else chosen


def _ask(model: Any, signature: str, inputs: Mapping[str, np.ndarray]) -> StoredRequest:
    asked = model.signatures[signature]
    answer = asked(**{name: tf.constant(value) for name, value in inputs.items()})
    return StoredRequest(signature, inputs, {name: value.numpy() for name, value in answer.items()})


def _best(
    queries: np.ndarray, vectors: np.ndarray | None, depth: int
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the best items by scores, or by the products of vectors.

    Returns:
      Scores and rows, `[queries, depth]`, best first. Where there are no more items, the last
      column is -inf.
    """
    items = queries.shape[1] if vectors is None else len(vectors)
    pieces = np.array_split(queries, -(-len(queries) * items // _SCORED_TOGETHER))
    scored = (piece if vectors is None else piece @ vectors.T for piece in pieces)
    found = [tf.math.top_k(scores, min(depth, items)) for scores in scored]
    scores, rows = (np.concatenate([one[part].numpy() for one in found]) for part in (0, 1))
    if items > depth:
        return scores, rows
    end = [[0, 0], [0, 1]]
    return np.pad(scores, end, constant_values=-np.inf), np.pad(rows, end)


def _some_items(model: Any, catalogue: Catalogue, item_feature: str) -> dict[str, np.ndarray]:
    """Raw features of items from all over the catalogue."""
    takes = model.signatures[EMBED_ITEM].structured_input_signature[1]
    rows = np.unique(np.linspace(0, len(catalogue) - 1, _ITEMS).astype(int))
    items: Sequence[dict[str, Any]] = [
        {**catalogue.features(row), item_feature: catalogue.ids[row]} for row in rows
    ]
    return feature_inputs(takes, items)


def _lists(
    given: Mapping[str, Any],
    expected: Mapping[str, np.ndarray],
    recall: float,
    signatures: Signatures,
) -> list[StoredRequest]:
    """Requests for lists: filters ask for nothing."""
    requests = []
    for name in (RECOMMEND, FILTERED, DEFAULT):
        specs = signatures.get(name, {})
        missing = {item: spec for item, spec in specs.items() if item not in given}
        inputs = {item: value for item, value in given.items() if item in specs}
        nothing = feature_inputs(missing, [{}] * len(expected[IDS]))
        # Recall was measured for lists of this length without filters.
        judged = {RECALL: np.array(recall)} if name == RECOMMEND else {}
        if specs:
            requests.append(StoredRequest(name, {**inputs, **nothing}, {**expected, **judged}))
    return requests
