"""The multilayer perceptron that towers end in."""

from collections.abc import Sequence

import tf_keras

from tfrec.layers.dropout import Dropout


def mlp(
    hidden: Sequence[int], output_dim: int | None = None, dropout: float = 0.0
) -> tf_keras.Sequential:
    """Stacks dense layers: ReLU and dropout on the hidden ones, a linear output.

    Args:
      hidden: units of each hidden layer; none makes a linear projection.
      output_dim: units of the output; without it the last hidden layer is the output.
      dropout: share of hidden activations dropped in training, in [0, 1).

    Returns:
      A model `[batch, any] -> [batch, output_dim]`.
    """
    layers: list[tf_keras.layers.Layer] = []
    for units in hidden:
        layers.append(tf_keras.layers.Dense(units, activation="relu"))
        layers.append(Dropout(dropout))
    if output_dim is not None:
        layers.append(tf_keras.layers.Dense(output_dim))
    return tf_keras.Sequential(layers)
