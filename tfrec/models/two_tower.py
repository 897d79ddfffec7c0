"""The two-tower retrieval template."""

from typing import Annotated

import tensorflow as tf
import tf_keras
from pydantic import Field

from tfrec.layers import mlp
from tfrec.models.base import ModelInputs
from tfrec.models.retrieval import RetrievalTemplate, side_by_side


class TwoTower(RetrievalTemplate):
    """Scores an item for a shopper by the cosine of two learned vectors.

        score(query, item) = cos(query_tower(query), item_tower(item)) / temperature

    A query is the shopper and the moment: the features of roles user and context. Subclass it and
    override `query_tower` or `item_tower` to change a network; all later stages follow.

    Source: Yi et al., Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
    Recommendations, RecSys 2019.
    """

    class Settings(RetrievalTemplate.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          temperature: divides the cosine; smaller is sharper.
        """

        temperature: Annotated[float, Field(gt=0)] = 0.1

    settings: Settings

    def __init__(self, inputs: ModelInputs, settings: Settings) -> None:
        """Makes the tables and the towers."""
        super().__init__(inputs, settings)
        self._query_tower = self.query_tower()
        self._item_tower = self.item_tower()

    def query_tower(self) -> tf_keras.Model:
        """Makes the network from the query's embedded features to `[batch, embedding_dim]`."""
        return mlp([], output_dim=self.embedding_dim)

    def item_tower(self) -> tf_keras.Model:
        """Makes the network from the item's embedded features to `[batch, embedding_dim]`."""
        return mlp([], output_dim=self.embedding_dim)

    def query_vectors(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Vectors whose length is `1 / temperature`, so that a plain dot product is the score."""
        features = side_by_side(embedded, self.query_features)
        vectors = tf.cast(self._query_tower(features, training=training), tf.float32)
        return tf.math.l2_normalize(vectors, axis=-1) / self.settings.temperature

    def item_vectors(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Vectors of length 1."""
        features = side_by_side(embedded, self.item_features)
        vectors = tf.cast(self._item_tower(features, training=training), tf.float32)
        return tf.math.l2_normalize(vectors, axis=-1)
