"""A two-tower model of one's own, in fifteen lines.

tfrec run configs/complete_journey.yaml --model examples/wider_items.py:WiderItems
"""

import tf_keras

import tfrec


class WiderItems(tfrec.models.TwoTower):
    """A two-tower model whose item side has two hidden layers."""

    def item_tower(self) -> tf_keras.Model:
        """Makes a deeper network than the template's linear one."""
        return tfrec.layers.mlp([256, 128], output_dim=self.embedding_dim, dropout=0.1)


if __name__ == "__main__":
    experiment = tfrec.Experiment.load("configs/complete_journey.yaml", model=WiderItems)
    experiment.run()
