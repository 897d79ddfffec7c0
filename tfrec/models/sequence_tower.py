"""A tower over a shopper's recent items, in the manner of YouTube's candidate generation."""

from typing import Annotated

import tensorflow as tf
import tf_keras
from pydantic import Field

from tfrec.errors import UserError
from tfrec.layers import mlp
from tfrec.models.base import ModelInputs
from tfrec.models.retrieval import RetrievalTemplate, side_by_side


class SequenceTower(RetrievalTemplate):
    """Pools a shopper's recent items, and passes them with all else that is known to a network.

        query = relu(mlp(mean of E(h_1) ... E(h_n), other features of the query))
        score(query, item) = query . (W item's features)

    Each history is pooled as its `pooling` says, by default by the mean. Training is by softmax
    over the batch's items, corrected for how often each is there. The paper gives every item a
    vector of its own that only the output has; here it is a projection of the item's features,
    whose rows the history shares, so that it follows an item's other features too.

    Subclass it and override `query_tower` or `item_tower` to change a network.

    Source: Covington, Adams and Sargin, Deep Neural Networks for YouTube Recommendations,
    RecSys 2016.
    """

    class Settings(RetrievalTemplate.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          hidden: units of the query tower's hidden layers.
          dropout: share of hidden activations dropped in training.
        """

        hidden: tuple[Annotated[int, Field(gt=0)], ...] = (256, 128)
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    settings: Settings

    def __init__(self, inputs: ModelInputs, settings: Settings) -> None:
        """Makes the tables and the towers.

        Raises:
          UserError: if no feature is a sequence.
        """
        if not inputs.spec.sequences:
            raise UserError(
                "features: none is a sequence, which SequenceTower reads; add one, e.g. "
                "recent: {role: user, kind: sequence, of: ITEM, last: 50}"
            )
        super().__init__(inputs, settings)
        self._query_tower = self.query_tower()
        self._item_tower = self.item_tower()

    def query_tower(self) -> tf_keras.Model:
        """Makes the network from the query's embedded features to `[batch, embedding_dim]`."""
        made = self.settings
        tower = mlp(made.hidden, output_dim=self.embedding_dim, dropout=made.dropout)
        tower.add(tf_keras.layers.ReLU())
        return tower

    def item_tower(self) -> tf_keras.Model:
        """Makes the network from the item's embedded features to `[batch, embedding_dim]`."""
        return mlp([], output_dim=self.embedding_dim)

    def query_vectors(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """What the query tower says."""
        features = side_by_side(embedded, self.query_features)
        return tf.cast(self._query_tower(features, training=training), tf.float32)

    def item_vectors(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """What the item tower says."""
        features = side_by_side(embedded, self.item_features)
        return tf.cast(self._item_tower(features, training=training), tf.float32)
