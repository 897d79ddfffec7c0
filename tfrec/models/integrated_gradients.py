"""How much of what a network says comes from each of its inputs."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrec.embeddings.features import Column
from tfrec.embeddings.pooling import owning_rows

POINTS = 16
"""Places of the path at which gradients are taken."""

Network = Callable[[dict[str, Column]], tf.Tensor]
"""Maps embedded features, `[rows, floats]` or ragged `[rows, values, floats]`, to `[rows]`."""


class Attribution(NamedTuple):
    """What a network says, and what part of it comes from where.

    Attributes:
      outputs: `[rows]` float32, what it says of the inputs.
      baselines: `[rows]` float32, what it says of the baseline.
      parts: name -> `[rows]`, or ragged `[rows, values]`, float32. All of a row add up to what its
        output is above the baseline's, but for an error of integration.
    """

    outputs: tf.Tensor
    baselines: tf.Tensor
    parts: dict[str, Column]


def integrated_gradients(
    network: Network,
    inputs: Mapping[str, Column],
    baseline: Mapping[str, tf.Tensor],
    constants: Mapping[str, Column],
    points: int = POINTS,
) -> Attribution:
    """Follows the gradient on the straight way from a baseline to the inputs.

        part_i = (x_i - b_i) * integral over a in [0, 1] of df/dx_i at b + a (x - b)

    The integral is a sum over the points of Gauss and Legendre: exact for networks that are
    polynomials of the inputs of a degree below `2 * points`.

    Args:
      network: what is explained; all of the way goes through it in one batch.
      inputs: name -> `[rows, floats]`, or ragged `[rows, values, floats]`.
      baseline: name -> where the way of each dense input begins; lists begin with as many zeros.
      constants: further features that the network takes, the same all the way.
      points: how many.

    Returns:
      What comes from each of `inputs`.

    Source: Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks, ICML 2017.
    """
    places, weights = np.polynomial.legendre.leggauss(points)
    # Both ends of the way go along, for what the network says of them.
    shares = np.array([0, *(places + 1) / 2, 1], np.float32)
    rows = _rows(next(iter(inputs.values())))
    owners = tf.repeat(tf.range(rows), len(shares))
    share = tf.tile(shares, [rows])
    weight = tf.tile(np.array([0, *weights / 2, 0], np.float32), [rows])
    ends = {name: tf.gather(column, owners) for name, column in inputs.items()}
    begins = {name: tf.gather(column, owners) for name, column in baseline.items()}
    ways = {name: values_of(end) - begins.get(name, 0) for name, end in ends.items()}
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        path = {
            name: begins.get(name, 0) + tf.cast(_each(share, ends[name]), way.dtype) * way
            for name, way in ways.items()
        }
        tape.watch(path)
        steps: dict[str, Column] = {
            name: with_values(end, path[name]) for name, end in ends.items()
        }
        steps |= {name: tf.gather(column, owners) for name, column in constants.items()}
        outputs = tf.cast(network(steps), tf.float32)
    gradients = tape.gradient(outputs, path, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    parts = {}
    for name, column in inputs.items():
        products = tf.reduce_sum(tf.cast(gradients[name] * ways[name], tf.float32), -1)
        products *= _each(weight, ends[name])[:, 0]
        count = tf.shape(values_of(column))[0]
        numbers = with_values(column, tf.range(count))
        sums = tf.math.unsorted_segment_sum(products, values_of(tf.gather(numbers, owners)), count)
        parts[name] = with_values(column, sums)
    said = tf.reshape(outputs, [rows, len(shares)])
    return Attribution(said[:, -1], said[:, 0], parts)


def values_of(column: Column) -> tf.Tensor:
    """The values of all lists of a column, or the column itself."""
    return column.flat_values if isinstance(column, tf.RaggedTensor) else column


def with_values(column: Column, values: tf.Tensor) -> Column:
    """A column like another, of other values."""
    return column.with_flat_values(values) if isinstance(column, tf.RaggedTensor) else values


def _rows(column: Column) -> tf.Tensor:
    if isinstance(column, tf.RaggedTensor):
        return tf.cast(column.nrows(), tf.int32)
    return tf.shape(column)[0]


def _each(numbers: tf.Tensor, column: Column) -> tf.Tensor:
    """A number of each row, `[rows]`, for each of a column's values: `[values, 1]`."""
    if isinstance(column, tf.RaggedTensor):
        numbers = tf.gather(numbers, owning_rows(column))
    return numbers[:, tf.newaxis]
