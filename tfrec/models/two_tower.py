"""The two-tower retrieval template."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras
from pydantic import Field

from tfrec.config import Section
from tfrec.embeddings.features import FeatureEmbedding, Features, embedding_tables
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, WEIGHT, parsing_spec
from tfrec.features.plan import Table
from tfrec.layers import mlp
from tfrec.losses import in_batch_softmax


@dataclass(frozen=True)
class ModelInputs:
    """What a template is told about the data.

    Attributes:
      spec: the features.
      tables: feature -> its embedding table; see `embedding_plan`.
      item_share: `[items]` float32, each item's share of the training examples.
    """

    spec: FeatureSpec
    tables: dict[str, Table]
    item_share: np.ndarray


class TwoTower(tfrs.Model):
    """Scores an item for a shopper by the cosine of two learned vectors.

        score(query, item) = cos(query_tower(query), item_tower(item)) / temperature

    A query is the shopper and the moment: the features of roles user and context. Subclass it and
    override `query_tower` or `item_tower` to change a network; all later stages follow.

    Source: Yi et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
    Recommendations, RecSys 2019.
    """

    class Settings(Section):
        """The template's own keys of the `model` section.

        Attributes:
          embedding_dim: floats of the vectors that are compared.
          temperature: divides the cosine; smaller is sharper.
        """

        embedding_dim: Annotated[int, Field(gt=0)] = 64
        temperature: Annotated[float, Field(gt=0)] = 0.1

    def __init__(self, inputs: ModelInputs, settings: Settings) -> None:
        """Makes the tables and the towers."""
        super().__init__()
        self.spec = inputs.spec
        self.settings = settings
        self.embedding_dim = settings.embedding_dim
        self.query_features = inputs.spec.of_role("user", "context")
        self.item_features = inputs.spec.of_role("item")
        tables = embedding_tables(inputs.tables)
        self._query_embedding = FeatureEmbedding(inputs.spec, self.query_features, tables)
        self._item_embedding = FeatureEmbedding(inputs.spec, self.item_features, tables)
        self._query_tower = self.query_tower()
        self._item_tower = self.item_tower()
        self._item_share = tf.Variable(inputs.item_share, trainable=False, name="item_share")
        self._mean_loss = tf_keras.metrics.Mean("mean_loss")

    def make_variables(self) -> None:
        """Makes all variables now, by embedding one example of zeros and empty lists."""
        parsing = parsing_spec(self.spec, [*self.query_features, *self.item_features])
        example = {name: _zeros(feature) for name, feature in parsing.items()}
        self.embed_query(example)
        self.embed_item(example)

    def query_tower(self) -> tf_keras.Model:
        """Makes the network from the query's embedded features to `[batch, embedding_dim]`."""
        return mlp([], output_dim=self.embedding_dim)

    def item_tower(self) -> tf_keras.Model:
        """Makes the network from the item's embedded features to `[batch, embedding_dim]`."""
        return mlp([], output_dim=self.embedding_dim)

    def embed_query(self, features: Features, training: bool = False) -> tf.Tensor:
        """Maps transformed features of roles user and context to `[batch, embedding_dim]`.

        The vectors' length is `1 / temperature` and items' is 1, so that a plain dot product is
        the score.
        """
        embedded = self._query_embedding(features, training=training)
        vectors = self._query_tower(embedded, training=training)
        return tf.math.l2_normalize(vectors, axis=-1) / self.settings.temperature

    def embed_item(self, features: Features, training: bool = False) -> tf.Tensor:
        """Maps transformed features of role item to `[batch, embedding_dim]` of length 1."""
        embedded = self._item_embedding(features, training=training)
        return tf.math.l2_normalize(self._item_tower(embedded, training=training), axis=-1)

    def compute_loss(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """In-batch sampled softmax with logQ correction over the batch's distinct items.

        Args:
          inputs: parsed Examples: all features, `_item_row` and `_weight`, each `[batch]`.
          training: whether gradients are wanted.

        Returns:
          The mean loss, a scalar, divided by the number of replicas whose gradients are summed.
        """
        rows, positives = tf.unique(inputs[ITEM_ROW])
        items = _first_of_each(inputs, self.item_features, positives, tf.size(rows))
        loss = in_batch_softmax(
            self.embed_query(inputs, training),
            self.embed_item(items, training),
            positives,
            tf.nn.embedding_lookup(self._item_share, rows),
            weights=inputs[WEIGHT],
        )
        self._mean_loss.update_state(loss)
        return loss / tf.distribute.get_strategy().num_replicas_in_sync

    # AutoGraph knows Keras by the name `keras` only, and would rewrite all of `tf_keras` on the way
    # through a step: half a minute before the first one.
    @tf.autograph.experimental.do_not_convert
    def train_step(self, inputs: Features) -> dict[str, tf.Tensor]:
        """Makes one step of training on a batch."""
        return super().train_step(inputs)

    @tf.autograph.experimental.do_not_convert
    def test_step(self, inputs: Features) -> dict[str, tf.Tensor]:
        """Measures the loss of a batch."""
        return super().test_step(inputs)


def _zeros(parsing: Any) -> tf.Tensor | tf.RaggedTensor:
    """Makes a batch of one example of what `parsing_spec` describes."""
    if isinstance(parsing, tf.io.RaggedFeature):
        return tf.RaggedTensor.from_row_lengths(tf.zeros([0], parsing.dtype), [0])
    return tf.zeros([1, *parsing.shape], parsing.dtype)


def _first_of_each(
    inputs: Features, names: Sequence[str], groups: tf.Tensor, count: tf.Tensor
) -> Features:
    """Takes one row of each group: `[batch]` features -> `[count]` features."""
    first = tf.math.unsorted_segment_min(tf.range(tf.size(groups)), groups, count)
    return {name: tf.gather(inputs[name], first) for name in names}
