"""A sequence template of one's own: one method, and the network that it makes.

tfrec run examples/films.yaml
tfrec run examples/films.yaml --strategy parameter_server
"""

import tensorflow as tf
import tf_keras

import tfrec


class GRU4Rec(tfrec.models.Sequential):
    """Predicts the next item by a recurrent network.

    Source: Hidasi et al., Session-based Recommendations with Recurrent Neural Networks, ICLR 2016.
    """

    def encoder(self) -> tf_keras.layers.Layer:
        """Makes the network over histories."""
        return Recurrent(self.embedding_dim)


class Recurrent(tf_keras.layers.Layer):
    """A GRU; no place of it sees a later one."""

    def __init__(self, dim: int) -> None:
        """Makes the cells."""
        super().__init__()
        self._cells = tf_keras.layers.GRU(dim, return_sequences=True)

    def call(self, values: tf.Tensor, lengths: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Maps `[batch, longest, dim]`, padded behind, to the same shape."""
        return self._cells(values)


if __name__ == "__main__":
    experiment = tfrec.Experiment.load("examples/films.yaml", model=GRU4Rec)
    experiment.run()
