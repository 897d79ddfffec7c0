"""A trained template as a SavedModel: raw features in, the transform graph inside."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from tfrec.features.parsing import parsing_spec
from tfrec.features.signature import raw_inputs, sparse_inputs
from tfrec.models.base import Template
from tfrec.models.catalogue_features import CatalogueFeatures, row_table
from tfrec.models.closed_form import ClosedForm
from tfrec.models.ranking import RankingTemplate
from tfrec.models.retrieval import RetrievalTemplate

EMBEDDING, SCORES, ITEMS = "embedding", "scores", "items"
EMBED_QUERY, EMBED_ITEM = "embed_query", "embed_item"
SCORE_CATALOGUE, RANK = "score_catalogue", "rank"
_EXAMPLES = tf.TensorSpec([None], tf.string, "examples")


def save_retrieval_model(
    model: RetrievalTemplate, transform: tft.TFTransformOutput, path: Path
) -> None:
    """Saves a trained template so that later stages need neither its class nor the transform.

    Raw features are as `raw_inputs` describes them. The signatures all return `embedding`, float32
    `[batch, dim]`:
      - `embed_query` takes the raw features of roles user and context;
      - `embed_item` takes the raw features of role item;
      - `embed_item_examples` takes `examples`, serialised transformed Examples of items.

    Args:
      model: a trained template.
      transform: the fitted transform.
      path: directory to write.
    """
    layer = transform.transform_features_layer()
    _save(model, layer, _retrieval(model, layer), path)


def save_ranking_model(
    model: RankingTemplate,
    transform: tft.TFTransformOutput,
    catalogue: CatalogueFeatures,
    path: Path,
) -> None:
    """Saves a trained template so that later stages need neither its class nor the transform.

    Raw features are as `raw_inputs` describes them. The signatures:
      - `rank` takes the raw features of roles user and context, and `items`, strings `[batch, n]`:
        ids of the catalogue. It returns the prediction of each task, float32 `[batch, n]`, NaN for
        an unknown id;
      - `rank_examples` takes `examples`, serialised transformed Examples, and returns the
        prediction of each task, `[batch]`;
      - `score_catalogue` takes what `rank` takes but `items`, and returns `scores`, float32
        `[batch, items]`: predictions of the first task for all of the catalogue.

    Args:
      model: a trained template.
      transform: the fitted transform.
      catalogue: the items that can be ranked.
      path: directory to write.
    """
    layer = transform.transform_features_layer()
    _save(model, layer, _ranking(model, layer, catalogue), path, catalogue)


def save_fitted_model(
    model: ClosedForm, history: str, ids: Sequence[str] | np.ndarray, path: Path
) -> None:
    """Saves a fitted model with the signature `score_catalogue`.

    It takes one raw feature, `history`: strings `[batch, n]`, the ids of items a shopper chose
    before, filled up with empty strings; unknown ids are passed over. It returns `scores`, float32
    `[batch, items]`.

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

    tf.saved_model.save(module, str(path), signatures={SCORE_CATALOGUE: score_catalogue})


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
    model: RetrievalTemplate, layer: tf.Module
) -> list[tf.types.experimental.PolymorphicFunction]:
    parsing = parsing_spec(model.spec, model.item_features)

    @tf.function(autograph=False, input_signature=[raw_inputs(model.spec, model.query_features)])
    def embed_query(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {EMBEDDING: model.embed_query(_transform(layer, features))}

    @tf.function(autograph=False, input_signature=[raw_inputs(model.spec, model.item_features)])
    def embed_item(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {EMBEDDING: model.embed_item(_transform(layer, features))}

    @tf.function(autograph=False, input_signature=[_EXAMPLES])
    def embed_item_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {EMBEDDING: model.embed_item(tf.io.parse_example(examples, parsing))}

    return [embed_query, embed_item, embed_item_examples]


def _ranking(
    model: RankingTemplate, layer: tf.Module, catalogue: CatalogueFeatures
) -> list[tf.types.experimental.PolymorphicFunction]:
    parsing = parsing_spec(model.spec, [*model.query_features, *model.item_features])
    queries = raw_inputs(model.spec, model.query_features)
    ids = tf.TensorSpec([None, None], tf.string, ITEMS)

    def rank_rows(raw: dict[str, tf.Tensor], rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Ranks items, `[batch, n]` rows of the catalogue, each for its query."""
        query = _transform(layer, raw)
        owner = tf.repeat(tf.range(tf.shape(rows)[0]), tf.shape(rows)[1])
        features = {name: tf.gather(query[name], owner) for name in model.query_features}
        features |= catalogue(tf.reshape(rows, [-1]))
        return {
            task: tf.reshape(prediction, tf.shape(rows))
            for task, prediction in model.rank(features).items()
        }

    @tf.function(autograph=False, input_signature=[{**queries, ITEMS: ids}])
    def rank(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        raw = dict(inputs)
        rows = catalogue.rows(raw.pop(ITEMS))
        predictions = rank_rows(raw, tf.maximum(rows, 0))
        return {task: tf.where(rows < 0, np.nan, p) for task, p in predictions.items()}

    @tf.function(autograph=False, input_signature=[_EXAMPLES])
    def rank_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return model.rank(tf.io.parse_example(examples, parsing))

    @tf.function(autograph=False, input_signature=[queries])
    def score_catalogue(raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        batch = tf.shape(next(iter(raw.values())))[0]
        every = tf.tile(tf.range(catalogue.items)[tf.newaxis], [batch, 1])
        return {SCORES: next(iter(rank_rows(raw, every).values()))}

    return [rank, rank_examples, score_catalogue]


def _transform(
    layer: tf.Module, raw: dict[str, tf.Tensor]
) -> dict[str, tf.Tensor | tf.RaggedTensor]:
    """Raw features -> transformed ones, with ragged tensors for sparse ones."""
    columns = layer(sparse_inputs(raw))
    return {
        name: _ragged(column) if isinstance(column, tf.SparseTensor) else column
        for name, column in columns.items()
    }


def _ragged(column: tf.SparseTensor) -> tf.RaggedTensor:
    """Closes the gaps where a client left a place empty, which `from_sparse` would refuse."""
    rows, count = column.indices[:, 0], column.dense_shape[0]
    return tf.RaggedTensor.from_value_rowids(column.values, rows, nrows=count, validate=False)
