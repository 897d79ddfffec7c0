"""Items that go with an item."""

import tensorflow as tf
import tf_keras

from tfrec.embeddings.features import Features
from tfrec.features.parsing import ITEM_ROW
from tfrec.layers import mlp
from tfrec.models.base import ModelInputs
from tfrec.models.two_tower import TwoTower

SOURCE = "_source_"
"""Comes before the names of the features of the item that a pair goes out from."""


class ItemToItem(TwoTower):
    """Finds what goes with an item, by the cosine of a vector as a source and one as a target.

        score(source, target) = cos(source_tower(source), item_tower(target)) / temperature

    Both towers read the item's features from the same tables, and are networks of their own, so
    that a phone may lead to its case and the case to no phone. A query is an item: features of the
    shopper and the moment are not used. It learns from pairs of items, each with a weight, by
    softmax over the targets of the batch, corrected for how often each is there.

    Subclass it and override `source_tower` or `item_tower` to change a network.

    Source: McAuley, Pandey and Leskovec, Inferring Networks of Substitutable and Complementary
    Products, KDD 2015, for directed pairs; Yi et al., RecSys 2019, for the towers (see `TwoTower`).
    """

    def __init__(self, inputs: ModelInputs, settings: TwoTower.Settings) -> None:
        """Makes the tables and the towers."""
        super().__init__(inputs, settings)
        self.query_features = self.item_features

    def source_tower(self) -> tf_keras.Model:
        """Makes the network from a source's embedded features to `[batch, embedding_dim]`."""
        return mlp([128], output_dim=self.embedding_dim)

    def query_tower(self) -> tf_keras.Model:
        """The source tower."""
        return self.source_tower()

    def item_tower(self) -> tf_keras.Model:
        """Makes the network from a target's embedded features to `[batch, embedding_dim]`."""
        return mlp([128], output_dim=self.embedding_dim)

    def example_losses(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """Compares each source with its own target and the others of the batch.

        Args:
          inputs: pairs: the target's features by their names, the source's by theirs behind
            `SOURCE`, and `_item_row`, the target's row of the catalogue, each `[batch]`.
          training: whether gradients are wanted.

        Returns:
          `[batch]` float32.
        """
        rows, positives = tf.unique(inputs[ITEM_ROW])
        batch, count = tf.size(positives), tf.size(rows)
        # One lookup for both sides: what they share is fetched once.
        embedded = self.embedding(
            {
                name: tf.concat([inputs[SOURCE + name], inputs[name]], 0)
                for name in self.item_features
            },
            training=training,
        )
        first = tf.math.unsorted_segment_min(tf.range(batch), positives, count)
        sources = {name: vectors[:batch] for name, vectors in embedded.items()}
        targets = {name: tf.gather(vectors[batch:], first) for name, vectors in embedded.items()}
        queries = self.query_vectors(sources, training)
        return self.softmax_losses(queries, self.item_vectors(targets, training), rows, positives)
