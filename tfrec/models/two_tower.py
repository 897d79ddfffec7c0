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
from tfrec.embeddings.features import FeatureEmbedding, Features, Pool
from tfrec.embeddings.groups import Group
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, WEIGHT, parsing_spec
from tfrec.features.plan import Table
from tfrec.layers import mlp
from tfrec.losses import in_batch_softmax, replicas


@dataclass(frozen=True)
class ModelInputs:
    """What a template is told about the data.

    Attributes:
      spec: the features.
      tables: name -> embedding table; see `embedding_plan`.
      groups: the same tables in their groups; see `group_tables`.
      item_share: `[items]` float32, each item's share of the training examples.
    """

    spec: FeatureSpec
    tables: dict[str, Table]
    groups: tuple[Group, ...]
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
        self.embedding = FeatureEmbedding(inputs.spec, inputs.tables, inputs.groups, self.pools())
        self._query_tower = self.query_tower()
        self._item_tower = self.item_tower()
        self._item_share = tf.Variable(inputs.item_share, trainable=False, name="item_share")

    def make_variables(self) -> None:
        """Makes all variables now, by embedding one example of zeros and empty lists."""
        parsing = parsing_spec(self.spec, [*self.query_features, *self.item_features])
        example = {name: _zeros(feature) for name, feature in parsing.items()}
        self.embed_query({name: example[name] for name in self.query_features})
        self.embed_item({name: example[name] for name in self.item_features})

    def query_tower(self) -> tf_keras.Model:
        """Makes the network from the query's embedded features to `[batch, embedding_dim]`."""
        return mlp([], output_dim=self.embedding_dim)

    def item_tower(self) -> tf_keras.Model:
        """Makes the network from the item's embedded features to `[batch, embedding_dim]`."""
        return mlp([], output_dim=self.embedding_dim)

    def pools(self) -> dict[str, Pool]:
        """Makes what pools the lists of a feature, such as attention, by the feature's name.

        Other features are pooled as their `pooling` says.
        """
        return {}

    def embed_query(self, features: Features) -> tf.Tensor:
        """Maps transformed features of roles user and context to `[batch, embedding_dim]`.

        The vectors' length is `1 / temperature` and items' is 1, so that a plain dot product is
        the score.
        """
        return self._query_vectors(self.embedding(_select(features, self.query_features)))

    def embed_item(self, features: Features) -> tf.Tensor:
        """Maps transformed features of role item to `[batch, embedding_dim]` of length 1."""
        return self._item_vectors(self.embedding(_select(features, self.item_features)))

    def compute_loss(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """In-batch sampled softmax with logQ correction over the batch's distinct items.

        Replicas that train in step share their candidates.

        Args:
          inputs: parsed Examples: all features, `_item_row` and `_weight`, each `[batch]`.
          training: whether gradients are wanted.

        Returns:
          This replica's share of the loss, a scalar: the shares of replicas in step add up to the
          weighted mean over the examples of them all.
        """
        rows, positives = tf.unique(inputs[ITEM_ROW])
        items = _first_of_each(inputs, self.item_features, positives, tf.size(rows))
        embedded = self.embedding(
            {**_select(inputs, self.query_features), **items}, training=training
        )
        queries = self._query_vectors(embedded, training)
        candidates, rows, positives = replicas.share_candidates(
            self._item_vectors(embedded, training), rows, positives
        )
        losses = in_batch_softmax(
            queries,
            candidates,
            positives,
            tf.nn.embedding_lookup(self._item_share, rows),
            draws=replicas.total(tf.shape(queries)[0]),
        )
        weights = inputs[WEIGHT]
        whole = replicas.total(tf.reduce_sum(weights))
        return tf.math.divide_no_nan(tf.reduce_sum(losses * weights), whole)

    # AutoGraph knows Keras by the name `keras` only, and would rewrite all of `tf_keras` on the way
    # through a step: half a minute before the first one.
    @tf.autograph.experimental.do_not_convert
    def train_step(self, inputs: Features) -> dict[str, tf.Tensor]:
        """Makes one step of training on a batch."""
        return super().train_step(inputs)

    def _query_vectors(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        side_by_side = tf.concat([embedded[name] for name in self.query_features], -1)
        vectors = tf.cast(self._query_tower(side_by_side, training=training), tf.float32)
        return tf.math.l2_normalize(vectors, axis=-1) / self.settings.temperature

    def _item_vectors(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        side_by_side = tf.concat([embedded[name] for name in self.item_features], -1)
        vectors = tf.cast(self._item_tower(side_by_side, training=training), tf.float32)
        return tf.math.l2_normalize(vectors, axis=-1)


def _select(features: Features, names: Sequence[str]) -> Features:
    return {name: features[name] for name in names}


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
