"""A trained model as a SavedModel: raw features in, vectors out, the transform graph inside."""

from pathlib import Path

import tensorflow as tf
import tensorflow_transform as tft

from tfrec.features.parsing import parsing_spec
from tfrec.features.signature import raw_inputs, sparse_inputs
from tfrec.models.retrieval import RetrievalTemplate

EMBEDDING = "embedding"


def save_model(model: RetrievalTemplate, transform: tft.TFTransformOutput, path: Path) -> None:
    """Saves a model so that later stages need neither its class nor the transform.

    Its signatures all return `embedding`, float32 `[batch, dim]`:
      - `embed_query` takes the raw features of roles user and context;
      - `embed_item` takes the raw features of role item;
      - `embed_item_examples` takes `examples`, serialised transformed Examples of items.

    Args:
      model: a trained template.
      transform: the fitted transform.
      path: directory to write.
    """
    module = tf.Module()
    module.weights = model.weights
    layer = transform.transform_features_layer()
    # What the layer holds, not the layer: Keras would trace it, and AutoGraph would rewrite all of
    # `tf_keras` on the way through it, which takes longer than all the rest of saving.
    module.transform = layer._saved_model_loader_tracked_dict
    item_parsing = parsing_spec(model.spec, model.item_features)

    @tf.function(autograph=False, input_signature=[raw_inputs(model.spec, model.query_features)])
    def embed_query(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        transformed = _transform(layer, features)
        return {EMBEDDING: model.embed_query(transformed)}

    @tf.function(autograph=False, input_signature=[raw_inputs(model.spec, model.item_features)])
    def embed_item(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        transformed = _transform(layer, features)
        return {EMBEDDING: model.embed_item(transformed)}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def embed_item_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {EMBEDDING: model.embed_item(tf.io.parse_example(examples, item_parsing))}

    signatures = (embed_query, embed_item, embed_item_examples)
    tf.saved_model.save(
        module,
        str(path),
        signatures={signature.__name__: signature for signature in signatures},
    )


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
