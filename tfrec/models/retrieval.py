"""What templates have in common that compare a query's vector with those of items."""

import abc
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import tensorflow as tf
from pydantic import Field

from tfrec.embeddings.features import Features
from tfrec.features.parsing import ITEM_ROW, UNIFORM
from tfrec.losses import (
    StreamingFrequency,
    hard_negatives,
    log_q,
    mixed_negative_softmax,
    replicas,
    sampled_softmax,
)
from tfrec.models.base import ModelInputs, Template, select

SAMPLING = ("uniform_negatives", "hard_negatives", "item_frequency")
"""Settings of templates that learn from the items of a batch."""


class RetrievalTemplate(Template):
    """Scores an item for a query by the dot product of two vectors, so that an index can search.

        score(query, item) = query_vectors(query) . item_vectors(item)

    A query is the shopper and the moment: the features of roles user and context. A subclass says
    what the vectors are; it may replace `softmax_losses` by another comparison.

    Sources: Yi et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
    Recommendations, RecSys 2019, for the correction and its estimate; Yang et al., Mixed Negative
    Sampling for Learning Two-tower Neural Networks in Recommendations, WWW 2020 Companion.
    """

    class Settings(Template.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          embedding_dim: floats of the vectors that are compared.
          uniform_negatives: items drawn uniformly from the catalogue for each batch, which are
            negatives beside the batch's own.
          hard_negatives: how many of the negatives count, those with the highest scores; all by
            default.
          item_frequency: `counted` takes each item's share of the training examples from
            preparation; `streaming` estimates it while training.
        """

        embedding_dim: Annotated[int, Field(gt=0)] = 64
        uniform_negatives: Annotated[int, Field(ge=0)] = 0
        hard_negatives: Annotated[int, Field(gt=0)] | None = None
        item_frequency: Literal["counted", "streaming"] = "counted"

        def refuse(self, *names: str, why: str) -> None:
            """Raises a ValueError if one of some settings is given, which a subclass has not."""
            for name in names:
                if name in self.model_fields_set:
                    raise ValueError(f"{name}: {why}; leave it out")

    settings: Settings

    def __init__(self, inputs: ModelInputs, settings: Settings) -> None:
        """Makes the tables."""
        super().__init__(inputs, settings)
        self.embedding_dim = settings.embedding_dim
        self._item_share = tf.Variable(inputs.item_share, trainable=False, name="item_share")
        self._items = len(inputs.item_share)
        streaming = settings.item_frequency == "streaming"
        self._frequency = StreamingFrequency(self._items) if streaming else None

    @abc.abstractmethod
    def query_vectors(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Maps embedded features of the query to `[batch, embedding_dim]` float32."""

    @abc.abstractmethod
    def item_vectors(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Maps embedded features of items to `[items, embedding_dim]` float32."""

    @classmethod
    def uniform_items(cls, settings: Template.Settings, batch_size: int) -> int:
        """As many as the settings say, for all of a batch."""
        assert isinstance(settings, RetrievalTemplate.Settings)
        return settings.uniform_negatives

    def softmax_losses(
        self,
        queries: tf.Tensor,
        items: tf.Tensor,
        rows: tf.Tensor,
        positives: tf.Tensor,
        uniform_draws: tf.Tensor | int = 0,
        training: bool = False,
    ) -> tf.Tensor:
        """Sampled softmax over the distinct items of the batch, and those drawn uniformly.

            loss(q, i) = -log softmax(q . c - log(chance that c is there))_i

        Replicas that train in step share their candidates. With `hard_negatives`, only so many of
        the negatives that score highest, so corrected, are in the sum.

        Args:
          queries: `[batch, embedding_dim]`.
          items: `[distinct, embedding_dim]`.
          rows: `[distinct]` int64, the items' rows of the catalogue.
          positives: `[batch]` int, each query's row of `items`.
          uniform_draws: how often an item was drawn uniformly for this replica's batch.
          training: whether gradients are wanted.

        Returns:
          `[batch]`.
        """
        own = tf.gather(rows, positives)
        candidates, rows, positives = replicas.share_candidates(items, rows, positives)
        draws = replicas.total(tf.shape(queries)[0])
        shares = self._shares(rows, own, draws, training)
        uniform = replicas.total(tf.convert_to_tensor(uniform_draws))
        hardest = self.settings.hard_negatives
        if hardest is not None:
            scores = tf.matmul(queries, candidates, transpose_b=True)
            scores -= log_q(shares, draws, uniform, self._items)
            return sampled_softmax(*hard_negatives(scores, positives, hardest))
        return mixed_negative_softmax(
            queries, candidates, positives, shares, self._items, uniform, draws=draws
        )

    def _shares(
        self, rows: tf.Tensor, own: tf.Tensor, draws: tf.Tensor, training: bool
    ) -> tf.Tensor:
        """Shares of the training examples that are of some items: `[items]`."""
        if self._frequency is None:
            return tf.nn.embedding_lookup(self._item_share, rows)
        if training:
            self._frequency.update(tf.unique(replicas.gather(own))[0])
        return self._frequency.shares(rows, draws)

    def embed_query(self, features: Features) -> tf.Tensor:
        """Maps transformed features of roles user and context to `[batch, embedding_dim]`."""
        return self.query_vectors(self.embedded_query(features))

    def embedded_query(self, features: Features) -> dict[str, tf.Tensor]:
        """Embeds those transformed features that `query_vectors` takes."""
        return self.embedding(select(features, self.query_features))

    @property
    def is_linear(self) -> bool:
        """Whether a query's vector is a linear function of its features' embedded values."""
        return False

    def embed_item(self, features: Features) -> tf.Tensor:
        """Maps transformed features of role item to `[batch, embedding_dim]`."""
        return self.item_vectors(self.embedding(select(features, self.item_features)))

    def use(self, features: Features) -> object:
        """Embeds queries and items."""
        return self.embed_query(features), self.embed_item(features)

    def example_losses(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """Compares each query with its own item and the others of the batch; see the base class."""
        items = batch_items(inputs, self.item_features)
        # One lookup for both sides: what they share is fetched once.
        embedded = self.embedding(
            {**select(inputs, self.query_features), **items.features}, training=training
        )
        queries = self.query_vectors(embedded, training)
        return self.softmax_losses(
            queries,
            self.item_vectors(embedded, training),
            items.rows,
            items.positives,
            items.uniform_draws,
            training,
        )


class BatchItems(NamedTuple):
    """The items that the queries of a batch are compared with.

    Attributes:
      features: name -> `[distinct]`.
      rows: `[distinct]` int64 rows of the catalogue.
      positives: `[batch]` int, which of them is each Example's own.
      uniform_draws: how often an item was drawn uniformly, a scalar.
    """

    features: Features
    rows: tf.Tensor
    positives: tf.Tensor
    uniform_draws: tf.Tensor


def batch_items(inputs: Features, names: Sequence[str]) -> BatchItems:
    """Takes each item of a batch, and of what was drawn beside it, once.

    Args:
      inputs: parsed Examples.
      names: the features of role item.
    """

    def joined(name: str) -> tf.Tensor | tf.RaggedTensor:
        beside = inputs.get(UNIFORM + name)
        return inputs[name] if beside is None else tf.concat([inputs[name], beside], 0)

    batch = tf.size(inputs[ITEM_ROW])
    rows, places = tf.unique(joined(ITEM_ROW))
    first = tf.math.unsorted_segment_min(tf.range(tf.size(places)), places, tf.size(rows))
    features = {name: tf.gather(joined(name), first) for name in names}
    return BatchItems(features, rows, places[:batch], tf.size(places) - batch)


def side_by_side(embedded: dict[str, tf.Tensor], names: Sequence[str]) -> tf.Tensor:
    """Joins the vectors of some features: `[rows, floats of all]`."""
    return tf.concat([embedded[name] for name in names], -1)
