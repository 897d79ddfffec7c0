from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tfrec.models.integrated_gradients import Attribution, integrated_gradients

X = np.array([[1, 2], [-3, 0.5], [0, 0]], np.float32)
START = np.array([[0.5, 1], [1, 1], [0, 0]], np.float32)


def attribute(network: Callable, points: int = 16) -> Attribution:
    return integrated_gradients(
        network, {"x": tf.constant(X)}, {"x": tf.constant(START)}, {}, points
    )


def test_parts_of_a_linear_network_are_its_weights_times_the_way() -> None:
    weights = np.array([2, -5], np.float32)

    found = attribute(lambda given: tf.linalg.matvec(given["x"], weights) + 7, points=1)

    np.testing.assert_allclose(found.parts["x"], (X - START) @ weights, rtol=1e-5)
    np.testing.assert_allclose(found.outputs, X @ weights + 7, rtol=1e-6)
    np.testing.assert_allclose(found.baselines, START @ weights + 7, rtol=1e-6)


def test_parts_are_the_plain_sum_over_many_small_steps() -> None:
    names = ("a", "b")
    ends = {name: tf.constant(X[:, place : place + 1]) for place, name in enumerate(names)}
    starts = {name: tf.constant(START[:, place : place + 1]) for place, name in enumerate(names)}

    def network(given: dict[str, tf.Tensor]) -> tf.Tensor:
        return (tf.sin(given["a"]) * tf.exp(given["b"]))[:, 0]

    found = integrated_gradients(network, ends, starts, {})

    shares = (np.arange(20_000)[:, np.newaxis, np.newaxis] + 0.5) / 20_000
    a, b = np.moveaxis(START + shares * (X - START), 2, 0)  # [steps, rows] each
    slopes = np.stack([np.cos(a) * np.exp(b), np.sin(a) * np.exp(b)], -1)
    expected = slopes.mean(0) * (X - START)
    for place, name in enumerate(names):
        np.testing.assert_allclose(found.parts[name], expected[:, place], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        sum(found.parts.values()), found.outputs - found.baselines, rtol=1e-4, atol=1e-6
    )


def test_each_value_of_a_list_has_a_part_and_begins_at_zero() -> None:
    values = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    lists = tf.RaggedTensor.from_row_lengths(tf.constant(values), [2, 0, 1])

    found = integrated_gradients(
        lambda given: tf.reduce_sum(tf.reduce_sum(given["lists"], 1) ** 2, 1),
        {"lists": lists},
        {},
        {},
    )

    sums = np.array([[4, 6], [4, 6], [5, 6]], np.float32)  # of each value's list
    parts = found.parts["lists"]
    assert parts.row_lengths().numpy().tolist() == [2, 0, 1]
    np.testing.assert_allclose(parts.flat_values, (values * sums).sum(1), rtol=1e-5)
    assert found.baselines.numpy().tolist() == [0, 0, 0]


@pytest.mark.parametrize("rows", [3, 0])
def test_constants_stay_and_inputs_that_do_not_matter_have_no_part(rows: int) -> None:
    given = tf.constant(X[:rows])

    found = integrated_gradients(
        lambda all_of: tf.reduce_sum(all_of["x"] * all_of["weight"], 1),
        {"x": given, "idle": given},
        {"x": tf.zeros_like(given)},
        {"weight": given},
    )

    np.testing.assert_allclose(found.outputs, (X[:rows] ** 2).sum(1), rtol=1e-5)
    np.testing.assert_allclose(found.parts["x"], found.outputs, rtol=1e-5)
    assert found.parts["idle"].numpy().tolist() == [0] * rows
    assert found.parts.keys() == {"x", "idle"}
