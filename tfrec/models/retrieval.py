"""What templates have in common that compare a query's vector with those of items."""

import abc
from collections.abc import Sequence
from typing import Annotated

import tensorflow as tf
from pydantic import Field

from tfrec.embeddings.features import Features
from tfrec.features.parsing import ITEM_ROW
from tfrec.losses import in_batch_softmax, replicas
from tfrec.models.base import ModelInputs, Template, select


class RetrievalTemplate(Template):
    """Scores an item for a query by the dot product of two vectors, so that an index can search.

        score(query, item) = query_vectors(query) . item_vectors(item)

    A query is the shopper and the moment: the features of roles user and context. A subclass says
    what the vectors are; it may replace `softmax_losses` by another comparison.
    """

    class Settings(Template.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          embedding_dim: floats of the vectors that are compared.
        """

        embedding_dim: Annotated[int, Field(gt=0)] = 64

    def __init__(self, inputs: ModelInputs, settings: Settings) -> None:
        """Makes the tables."""
        super().__init__(inputs, settings)
        self.embedding_dim = settings.embedding_dim
        self._item_share = tf.Variable(inputs.item_share, trainable=False, name="item_share")

    @abc.abstractmethod
    def query_vectors(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Maps embedded features of the query to `[batch, embedding_dim]` float32."""

    @abc.abstractmethod
    def item_vectors(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Maps embedded features of items to `[items, embedding_dim]` float32."""

    def softmax_losses(
        self, queries: tf.Tensor, items: tf.Tensor, rows: tf.Tensor, positives: tf.Tensor
    ) -> tf.Tensor:
        """In-batch sampled softmax with logQ correction over the batch's distinct items.

        Replicas that train in step share their candidates.

        Args:
          queries: `[batch, embedding_dim]`.
          items: `[distinct, embedding_dim]`.
          rows: `[distinct]` int64, the items' rows of the catalogue.
          positives: `[batch]` int, each query's row of `items`.

        Returns:
          `[batch]`.
        """
        candidates, rows, positives = replicas.share_candidates(items, rows, positives)
        shares = tf.nn.embedding_lookup(self._item_share, rows)
        draws = replicas.total(tf.shape(queries)[0])
        return in_batch_softmax(queries, candidates, positives, shares, draws=draws)

    def embed_query(self, features: Features) -> tf.Tensor:
        """Maps transformed features of roles user and context to `[batch, embedding_dim]`."""
        return self.query_vectors(self.embedding(select(features, self.query_features)))

    def embed_item(self, features: Features) -> tf.Tensor:
        """Maps transformed features of role item to `[batch, embedding_dim]`."""
        return self.item_vectors(self.embedding(select(features, self.item_features)))

    def use(self, features: Features) -> object:
        """Embeds queries and items."""
        return self.embed_query(features), self.embed_item(features)

    def example_losses(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """Compares each query with its own item and the others of the batch; see the base class."""
        rows, positives = tf.unique(inputs[ITEM_ROW])
        items = _first_of_each(inputs, self.item_features, positives, tf.size(rows))
        # One lookup for both sides: what they share is fetched once.
        embedded = self.embedding(
            {**select(inputs, self.query_features), **items}, training=training
        )
        queries = self.query_vectors(embedded, training)
        return self.softmax_losses(queries, self.item_vectors(embedded, training), rows, positives)


def side_by_side(embedded: dict[str, tf.Tensor], names: Sequence[str]) -> tf.Tensor:
    """Joins the vectors of some features: `[rows, floats of all]`."""
    return tf.concat([embedded[name] for name in names], -1)


def _first_of_each(
    inputs: Features, names: Sequence[str], groups: tf.Tensor, count: tf.Tensor
) -> Features:
    """Takes one row of each group: `[batch]` features -> `[count]` features."""
    first = tf.math.unsorted_segment_min(tf.range(tf.size(groups)), groups, count)
    return {name: tf.gather(inputs[name], first) for name in names}
