"""A trained template as a SavedModel: raw features in, the transform graph inside."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from tfrec.features.parsing import parsing_spec
from tfrec.features.signature import raw_inputs
from tfrec.models.base import Template, select
from tfrec.models.catalogue_features import CatalogueFeatures, row_table
from tfrec.models.closed_form import ClosedForm
from tfrec.models.explanations import (
    answer,
    explain_history,
    explain_retrieval,
    explain_sequential,
)
from tfrec.models.ranking import RankingTemplate
from tfrec.models.ranking_graph import EXAMPLES, ITEMS, SCORES, RankingGraph
from tfrec.models.retrieval import RetrievalTemplate
from tfrec.models.sequential import Sequential
from tfrec.models.shared_graphs import shared_transform, transform_features, transformed_inputs

EMBEDDING = "embedding"
EMBED_QUERY, EMBED_ITEM = "embed_query", "embed_item"
SCORE_CATALOGUE, RANK, RANK_FEATURES = "score_catalogue", "rank", "rank_features"
EXPLAIN, EXPLAIN_FEATURES = "explain", "explain_features"
EXPLAIN_VECTORS, VECTORS = "explain_vectors", "vectors"


def save_retrieval_model(
    model: RetrievalTemplate, transform: tft.TFTransformOutput, path: Path, item: str = ""
) -> None:
    """Saves a trained template so that later stages need neither its class nor the transform.

    Raw features are as `raw_inputs` describes them. These signatures return `embedding`, float32
    `[batch, dim]`:
      - `embed_query` takes the raw features of roles user and context;
      - `embed_item` takes the raw features of role item;
      - `embed_item_examples` takes `examples`, serialised transformed Examples of items.

    One more, `explain_vectors`, takes what `embed_query` takes, `items`, strings `[batch, n]`, and
    `vectors`, float32 `[batch, n, dim]`: those of the items, NaN for an unknown one. It returns
    what `answer` of `explanations` says.

    Args:
      model: a trained template.
      transform: the fitted transform.
      path: directory to write.
      item: the feature that holds the items' ids; without it no history is explained by its items.
    """
    layer = transform.transform_features_layer()
    _save(model, layer, _retrieval(model, layer, item), path)


def save_ranking_model(
    model: RankingTemplate,
    transform: tft.TFTransformOutput,
    catalogue: CatalogueFeatures,
    path: Path,
    item: str = "",
) -> None:
    """Saves a trained template so that later stages need neither its class nor the transform.

    Raw features are as `raw_inputs` describes them. The signatures:
      - `rank` takes the raw features of roles user and context, and `items`, strings `[batch, n]`:
        ids of the catalogue. It returns the prediction of each task, float32 `[batch, n]`, NaN for
        an unknown id;
      - `rank_features` ranks items of any catalogue: it takes the raw features of all roles, those
        of items for each of some, and `places`, int32 `[batch, n]`: which of these to rank. It
        returns what `rank` does;
      - `rank_examples` takes `examples`, serialised transformed Examples, and returns the
        prediction of each task, `[batch]`;
      - `score_catalogue` takes what `rank` takes but `items`, and returns `scores`, float32
        `[batch, items]`: predictions of the first task for all of the catalogue;
      - `explain` takes what `rank` takes, and returns what `answer` of `explanations` says of the
        first task;
      - `explain_features` does so for items of any catalogue: it takes what `rank_features` takes,
        `items`, strings `[batch, n]`, their ids, `known`, bool `[batch, n]`, and `weights`, float32
        `[tasks]`, of the tasks in alphabetical order, whose weighted sum it explains.

    Args:
      model: a trained template.
      transform: the fitted transform.
      catalogue: the items that can be ranked.
      path: directory to write.
      item: the feature that holds the items' ids; without it no history is explained by its items.
    """
    layer = transform.transform_features_layer()
    graph = RankingGraph(model, layer, catalogue, item)
    _save(model, layer, graph.signatures(), path, catalogue)


def save_fitted_model(
    model: ClosedForm, history: str, ids: Sequence[str] | np.ndarray, path: Path
) -> None:
    """Saves a fitted model with the signatures `score_catalogue` and `explain`.

    `score_catalogue` takes one raw feature, `history`: strings `[batch, n]`, the ids of items a
    shopper chose before, filled up with empty strings; unknown ids are passed over. It returns
    `scores`, float32 `[batch, items]`. `explain` takes `items` besides, strings `[batch, n]`, and
    returns what `answer` of `explanations` says.

    Args:
      model: a fitted model.
      history: name of the feature.
      ids: the items' ids by row.
      path: directory to write.
    """
    module = tf.Module()
    module.scorer = model.in_graph()
    module.rows = row_table(ids)
    raw = {history: tf.TensorSpec([None, None], tf.string, history)}

    @tf.function(autograph=False, input_signature=[raw])
    def score_catalogue(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {SCORES: module.scorer(module.rows.lookup(inputs[history]))}

    ids_of = tf.TensorSpec([None, None], tf.string, ITEMS)

    @tf.function(autograph=False, input_signature=[{**raw, ITEMS: ids_of}])
    def explain(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        chosen, items = inputs[history], inputs[ITEMS]
        places, rows = module.rows.lookup(chosen), module.rows.lookup(items)
        parts = explain_history(module.scorer, history, chosen, places, tf.maximum(rows, 0))
        return answer(parts, items, rows >= 0)

    signatures = {SCORE_CATALOGUE: score_catalogue, EXPLAIN: explain}
    tf.saved_model.save(module, str(path), signatures=signatures)


def _save(
    model: Template,
    layer: tf.Module,
    signatures: Sequence[tf.types.experimental.PolymorphicFunction],
    path: Path,
    *held: tf.Module,
) -> None:
    module = tf.Module()
    module.weights, module.held = model.weights, held
    # What the layer holds, not the layer: Keras would trace it, and AutoGraph would rewrite all of
    # `tf_keras` on the way through it, which takes longer than all the rest of saving.
    module.transform = layer._saved_model_loader_tracked_dict
    named = {signature.__name__: signature for signature in signatures}
    tf.saved_model.save(module, str(path), signatures=named)


def _retrieval(
    model: RetrievalTemplate, layer: tf.Module, item: str
) -> list[tf.types.experimental.PolymorphicFunction]:
    parsing = parsing_spec(model.spec, model.item_features)
    queries = raw_inputs(model.spec, model.query_features)
    pairs = {
        ITEMS: tf.TensorSpec([None, None], tf.string, ITEMS),
        VECTORS: tf.TensorSpec([None, None, model.embedding_dim], tf.float32, VECTORS),
    }
    transform = shared_transform(layer, model.spec, model.query_features)
    embed = tf.function(
        model.embed_item, [transformed_inputs(model.spec, model.item_features)], autograph=False
    )

    @tf.function(autograph=False, input_signature=[queries])
    def embed_query(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {EMBEDDING: model.embed_query(transform(features))}

    @tf.function(autograph=False, input_signature=[raw_inputs(model.spec, model.item_features)])
    def embed_item(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {EMBEDDING: embed(transform_features(layer, features))}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, EXAMPLES)])
    def embed_item_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(examples, parsing)
        return {EMBEDDING: embed(select(parsed, model.item_features))}

    @tf.function(autograph=False, input_signature=[{**queries, **pairs}])
    def explain_vectors(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        raw = dict(inputs)
        items, vectors = raw.pop(ITEMS), raw.pop(VECTORS)
        known = tf.reduce_all(tf.math.is_finite(vectors), -1)
        vectors = tf.where(known[..., tf.newaxis], vectors, 0.0)
        if isinstance(model, Sequential):
            parts = explain_sequential(model, transform, raw, vectors)
        else:
            parts = explain_retrieval(model, transform, item, raw, vectors)
        return answer(parts, items, known)

    return [embed_query, embed_item, embed_item_examples, explain_vectors]
