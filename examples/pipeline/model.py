"""A model of one's own: a template with one method changed."""

import tf_keras

import tfrec


class DeeperItems(tfrec.models.TwoTower):
    """A two-tower model whose item side has a hidden layer."""

    def item_tower(self) -> tf_keras.Model:
        """Makes a network in place of the template's linear one."""
        return tfrec.layers.mlp([64], output_dim=self.embedding_dim)
