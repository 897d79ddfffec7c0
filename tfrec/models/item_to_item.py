"""Items that go with an item."""

from collections.abc import Sequence
from typing import ClassVar

import tensorflow as tf
import tf_keras

from tfrec.data.prepared import ExampleKind, QueryKind
from tfrec.embeddings.features import Features
from tfrec.features import FeatureSpec
from tfrec.features.parsing import SOURCE
from tfrec.layers import mlp
from tfrec.models.base import ModelInputs, Template
from tfrec.models.retrieval import batch_items
from tfrec.models.two_tower import TwoTower


class ItemToItem(TwoTower):
    """Finds what goes with an item, by the cosine of a vector as a source and one as a target.

        score(source, target) = cos(source_tower(source), item_tower(target)) / temperature

    Both towers read the item's features from the same tables, and are networks of their own, so
    that a phone may lead to its case and the case to no phone. A query is an item: features of the
    shopper and the moment are not used. It learns from pairs of items of one basket or session
    (`data.pairs`), by softmax over the targets of the batch, corrected for how often each is there.

    Subclass it and override `source_tower` or `item_tower` to change a network.

    Source: McAuley, Pandey and Leskovec, Inferring Networks of Substitutable and Complementary
    Products, KDD 2015, for directed pairs; Yi et al., RecSys 2019, for the towers (see `TwoTower`).
    """

    queries: ClassVar[QueryKind] = "items"

    @classmethod
    def reads(cls, settings: Template.Settings) -> ExampleKind:
        """Pairs of items."""
        return "pairs"

    @classmethod
    def embedded(cls, spec: FeatureSpec, settings: Template.Settings) -> Sequence[str]:
        """Those of items."""
        return spec.of_role("item")

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
        targets = batch_items(inputs, self.item_features)
        batch = tf.size(targets.positives)
        # One lookup for both sides: what they share is fetched once.
        embedded = self.embedding(
            {
                name: tf.concat([inputs[SOURCE + name], targets.features[name]], 0)
                for name in self.item_features
            },
            training=training,
        )
        sources = {name: vectors[:batch] for name, vectors in embedded.items()}
        others = {name: vectors[batch:] for name, vectors in embedded.items()}
        return self.softmax_losses(
            self.query_vectors(sources, training),
            self.item_vectors(others, training),
            targets.rows,
            targets.positives,
            targets.uniform_draws,
            training,
        )
