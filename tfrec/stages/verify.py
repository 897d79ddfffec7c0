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
    EXPLAIN,
    EXPLAIN_VECTORS,
    ITEMS,
    RANK,
    SCORE_CATALOGUE,
    VECTORS,
)
from tfrec.retrieval.filters import NEW_ITEMS
from tfrec.retrieval.reranking import Rules
from tfrec.serving.feature_inputs import feature_inputs
from tfrec.serving.names import (
    BASELINES,
    DEFAULT,
    EXCLUDE,
    FILTERED,
    IDS,
    RECALL,
    RECOMMEND,
    SCORES,
    K,
)
from tfrec.serving.verify import CANDIDATES, StoredRequest
from tfrec.stages.bundle_ranker import BundleRanker
from tfrec.stages.index import ItemIndex
from tfrec.stages.train import TrainedModel

_QUERIES, _ITEMS = 100, 100
_RANKED, _EXPLAINED, _EXCLUDED = 10, 10, 3
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
    ranker: BundleRanker | None = None,
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
      ranker: orders the candidates, if anything does but the index.

    Returns:
      Requests for each signature that answers queries, and for the model's own.
    """
    model = tf.saved_model.load(str(trained.saved_model))
    vectors, items = indexed.embeddings(), len(catalogue)
    count = _QUERIES if vectors is not None else _RANKED_PAIRS // items
    asked = QuerySet(queries.table.slice(0, min(max(count, 1), _QUERIES)))
    features = asked.inputs(list(signatures[DEFAULT]))
    k = min(default_k if rules or ranker else _promised(indexed)["k"], items)
    fetched = max(k, default_k) * (rules.candidates if rules else 1)
    fetched = max(fetched, ranker.candidates) if ranker else fetched
    fetched = min(fetched, items)
    depth = _DEEPER * fetched + _EXCLUDED
    if vectors is None:
        own = [_ask(model, SCORE_CATALOGUE, features)]
        scores, rows = _best(own[0].expected[SCORES], None, depth)
    else:
        own = [_ask(model, EMBED_QUERY, features)]
        scores, rows = _best(own[0].expected[EMBEDDING], vectors, depth)
    ids = np.where(np.isfinite(scores), catalogue.ids[rows], "")
    if ranker:
        some = ids[:, :_RANKED], rows[:, :_RANKED]
        own.append(_ask_ranker(ranker, features, *some, signatures[RANK]))
    elif RANK in model.signatures:
        own.append(_ask(model, RANK, {**features, ITEMS: ids[:, :_RANKED]}))
    if ranker is None:
        own += _explained(model, features, ids[:, :_RANKED], rows[:, :_RANKED], vectors, signatures)
    if EMBED_ITEM in model.signatures:
        own.append(_ask(model, EMBED_ITEM, _some_items(model, catalogue, item_feature)))
    exclude = ids[:, : min(_EXCLUDED, items - 1)]
    given = {**features, K: np.int32(k), EXCLUDE: exclude, NEW_ITEMS: np.int32(0)}
    expected: dict[str, np.ndarray] = {IDS: ids, SCORES: scores}
    recall = _measured_recall(indexed)
    if ranker and not rules:
        expected |= {SCORES: _ranked(ranker, features, rows, scores), CANDIDATES: np.array(fetched)}
        (vectors_asked,) = own[0].expected.values()
        left_out = exclude.shape[1]
        exact = rows[:, : left_out + fetched], expected[SCORES][:, : left_out + fetched]
        recall = _ranked_recall(indexed, ranker, features, vectors_asked, exact, left_out, k)
    if rules:
        pinned = np.tile(np.array([*rules.pinned], object), [len(ids), 1])
        expected = {IDS: np.concatenate([ids, pinned], 1)}
    return own + _lists(given, expected, recall, signatures)


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


def _explained(
    model: Any,
    features: Mapping[str, np.ndarray],
    ids: np.ndarray,
    rows: np.ndarray,
    vectors: np.ndarray | None,
    signatures: Signatures,
) -> list[StoredRequest]:
    """Has the items of some rows explained: the scores that parts add up to, and whence.

    Parts themselves are sums over gradients, which may jump where numbers differ in the last digit.
    """
    few = {name: values[:_EXPLAINED] for name, values in features.items()}
    few[ITEMS], rows = ids[:_EXPLAINED], rows[:_EXPLAINED]
    if EXPLAIN in model.signatures:
        answer = _ask(model, EXPLAIN, few)
    elif EXPLAIN_VECTORS in model.signatures and EXPLAIN in signatures and vectors is not None:
        known = np.where(few[ITEMS][..., np.newaxis] == "", np.nan, vectors[rows])
        answer = _ask(model, EXPLAIN_VECTORS, {**few, VECTORS: known.astype(np.float32)})
    else:
        return []
    return [StoredRequest(EXPLAIN, few, {n: answer.expected[n] for n in (SCORES, BASELINES)})]


def _ask_ranker(
    ranker: BundleRanker,
    features: Mapping[str, np.ndarray],
    ids: np.ndarray,
    rows: np.ndarray,
    takes: Mapping[str, tf.TensorSpec],
) -> StoredRequest:
    """Has the items of some rows, `[queries, n]`, ranked; an empty id is one that is unknown."""
    predictions = {
        task: np.where(ids == "", np.nan, values).astype(np.float32)
        for task, values in ranker.predict(features, rows).items()
    }
    query = {name: features[name] for name in takes if name != ITEMS}
    return StoredRequest(RANK, {**query, ITEMS: ids}, predictions)


def _ranked(
    ranker: BundleRanker, features: Mapping[str, np.ndarray], rows: np.ndarray, scores: np.ndarray
) -> np.ndarray:
    """The ranker's scores of what was found: `[queries, n]`, -inf where nothing was."""
    return np.where(np.isfinite(scores), ranker.scores(features, np.maximum(rows, 0)), -np.inf)


def _ranked_recall(
    indexed: ItemIndex,
    ranker: BundleRanker,
    features: Mapping[str, np.ndarray],
    queries: np.ndarray,
    exact: tuple[np.ndarray, np.ndarray],
    excluded: int,
    k: int,
) -> float:
    """Share of the best of the exact candidates that is the best of the index's, and its twin's.

    The exact ones come in the index's order, `[queries, n]` rows and the ranker's scores of them;
    the first `excluded` of each query are to be left out.
    """
    exact_rows, exact_scores = exact
    wanted = _first_rows(exact_rows[:, excluded:], exact_scores[:, excluded:], k)
    shares = []
    for place in (indexed.saved_model, indexed.twin):
        if place.exists():
            index = tf.saved_model.load(str(place))
            candidates = tf.constant(exact_rows.shape[1] - excluded)
            leave_out = tf.constant(exact_rows[:, :excluded], tf.int64)
            rows, scores = (
                part.numpy() for part in index.search(tf.constant(queries), candidates, leave_out)
            )
            found = _first_rows(rows, _ranked(ranker, features, rows, scores), k)
            hits = (wanted[:, :, np.newaxis] == found[:, np.newaxis]).any(2)
            shares.append(float(hits[wanted >= 0].mean()))
    return min(shares)


def _first_rows(rows: np.ndarray, scores: np.ndarray, k: int) -> np.ndarray:
    """The rows of the `k` best scores: `[queries, k]`, -1 where there are no more."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    there = np.isfinite(np.take_along_axis(scores, order, 1))
    return np.where(there, np.take_along_axis(rows, order, 1), -1)


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
