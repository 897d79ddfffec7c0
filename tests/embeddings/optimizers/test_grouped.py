from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfrec.embeddings.optimizers.adagrad import Adagrad
from tfrec.embeddings.optimizers.distinct import DistinctRows
from tfrec.embeddings.optimizers.grouped import GroupedOptimizer
from tfrec.embeddings.optimizers.lazy_adam import LazyAdam
from tfrec.embeddings.optimizers.rowwise_adagrad import RowwiseAdagrad
from tfrec.embeddings.optimizers.sgd import Sgd
from tfrec.embeddings.optimizers.sparse import SparseOptimizer

Variables = dict[str, tf.Variable]


@pytest.fixture
def variables() -> Variables:
    """Two tables and the weights of a dense layer."""
    shapes = {"wide": [6, 4], "narrow": [9, 2], "kernel": [4, 3]}
    random = np.random.default_rng(0)
    return {
        name: tf.Variable(random.normal(size=shape), dtype=tf.float32, name=name)
        for name, shape in shapes.items()
    }


def gradients_of(variables: Variables, step: int) -> dict[str, tf.Tensor | tf.IndexedSlices]:
    """Gradients that differ by step; a table's row 2 is in them twice."""
    random = np.random.default_rng(step)
    slices = {
        name: tf.IndexedSlices(
            tf.constant(random.normal(size=[3, variables[name].shape[1]]), tf.float32),
            tf.constant([2, 5, 2]),
        )
        for name in ("wide", "narrow")
    }
    return {**slices, "kernel": tf.constant(random.normal(size=[4, 3]), tf.float32)}


def apply(
    optimizer: tf_keras.optimizers.Optimizer, variables: Variables, names: list[str], steps: int = 3
) -> None:
    for step in range(steps):
        gradients = gradients_of(variables, step)
        optimizer.apply_gradients([(gradients[name], variables[name]) for name in names])


def copies(variables: Variables) -> Variables:
    return {name: tf.Variable(variable) for name, variable in variables.items()}


def grouped(
    variables: Variables, wide: SparseOptimizer, narrow: SparseOptimizer, dense: object
) -> GroupedOptimizer:
    tables = {"wide": (wide, [variables["wide"]]), "narrow": (narrow, [variables["narrow"]])}
    return GroupedOptimizer(tables, dense)


def test_each_variable_moves_as_with_its_optimizer_alone(variables: Variables) -> None:
    alone = copies(variables)

    def optimizers() -> tuple[SparseOptimizer, SparseOptimizer, tf_keras.optimizers.Optimizer]:
        schedule = tf_keras.optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
        return (
            LazyAdam(0.3, clip_norm=1.0),
            RowwiseAdagrad(schedule, weight_decay=0.1),
            tf_keras.optimizers.AdamW(0.1, weight_decay=0.2, global_clipnorm=1.0),
        )

    apply(grouped(variables, *optimizers()), variables, ["kernel", "wide", "narrow"])

    for name, optimizer in zip(["wide", "narrow", "kernel"], optimizers(), strict=True):
        apply(optimizer, alone, [name])
        np.testing.assert_allclose(variables[name], alone[name], rtol=1e-5)


def test_groups_have_their_own_learning_rates(variables: Variables) -> None:
    start = copies(variables)
    ones = {name: tf.ones_like(variable) for name, variable in variables.items()}
    optimizer = grouped(variables, Sgd(0.5), Sgd(0.25), Sgd(0.125))

    optimizer.apply_gradients([(ones[name], variables[name]) for name in variables])

    for name, rate in [("wide", 0.5), ("narrow", 0.25), ("kernel", 0.125)]:
        np.testing.assert_allclose(start[name] - variables[name], ones[name] * rate, rtol=1e-5)


def test_step_is_counted_once_for_all(variables: Variables) -> None:
    members = LazyAdam(0.1), Sgd(0.1), tf_keras.optimizers.Adam(0.1)
    optimizer = grouped(variables, *members)

    apply(optimizer, variables, list(variables), steps=4)

    assert optimizer.iterations.numpy() == 4
    assert all(member.iterations is optimizer.iterations for member in members)


def test_variable_without_a_gradient_stays(variables: Variables) -> None:
    start = variables["wide"].numpy()
    optimizer = grouped(variables, Sgd(0.1), Sgd(0.1), Sgd(0.1))
    gradients = gradients_of(variables, 0)

    optimizer.apply_gradients(
        [(None, variables["wide"]), (gradients["kernel"], variables["kernel"])]
    )

    np.testing.assert_array_equal(variables["wide"], start)


def test_variables_are_the_step_and_every_slot(variables: Variables) -> None:
    optimizer = grouped(variables, Adagrad(0.1), Sgd(0.1, weight_decay=0.1), LazyAdam(0.1))
    optimizer.build(list(variables.values()))

    shapes = [tuple(variable.shape) for variable in optimizer.variables]

    assert shapes == [(), (6, 4), (9, 1), (4, 3), (4, 3)]


def test_learning_rate_shown_to_callbacks_is_the_dense_one(variables: Variables) -> None:
    optimizer = grouped(variables, Sgd(0.1), Sgd(0.2), tf_keras.optimizers.Adam(0.4))

    assert optimizer.learning_rate.numpy() == pytest.approx(0.4)


def test_checkpoint_finds_groups_by_name_in_whatever_order(
    variables: Variables, tmp_path: Path
) -> None:
    optimizer = grouped(variables, LazyAdam(0.1), Adagrad(0.1), LazyAdam(0.1))
    apply(optimizer, variables, list(variables))
    path = tf.train.Checkpoint(optimizer=optimizer).write(str(tmp_path / "checkpoint"))
    tables = {
        "narrow": (Adagrad(0.1), [variables["narrow"]]),
        "wide": (LazyAdam(0.1), [variables["wide"]]),
    }
    other = GroupedOptimizer(tables, LazyAdam(0.1))
    other.build(list(reversed(variables.values())))

    tf.train.Checkpoint(optimizer=other).read(path).assert_consumed()

    assert other.iterations.numpy() == 3
    for restored, saved in [
        (other.tables["wide"], optimizer.tables["wide"]),
        (other.tables["narrow"], optimizer.tables["narrow"]),
        (other.dense, optimizer.dense),
    ]:
        for one, another in zip(restored.variables[1:], saved.variables[1:], strict=True):
            np.testing.assert_array_equal(one, another)


def test_scaled_loss_leaves_the_same_weights(variables: Variables) -> None:
    plain = copies(variables)
    make = (LazyAdam, RowwiseAdagrad, tf_keras.optimizers.Adam)
    scaled = tf_keras.mixed_precision.LossScaleOptimizer(
        grouped(variables, *(kind(0.1) for kind in make)), dynamic=False, initial_scale=8
    )
    for step in range(3):
        gradients = gradients_of(variables, step)
        steep = {
            name: tf.IndexedSlices(gradient.values * 8, gradient.indices)
            if isinstance(gradient, tf.IndexedSlices)
            else gradient * 8
            for name, gradient in gradients.items()
        }
        unscaled = scaled.get_unscaled_gradients(list(steep.values()))
        scaled.apply_gradients(zip(unscaled, variables.values(), strict=True))

    apply(grouped(plain, *(kind(0.1) for kind in make)), plain, list(plain))

    for name, variable in variables.items():
        np.testing.assert_allclose(variable, plain[name], rtol=1e-5)


def test_rows_known_to_be_distinct_are_not_summed_again(variables: Variables) -> None:
    optimizer = grouped(variables, Sgd(0.1), Sgd(0.1), Sgd(0.1))

    def sums(kind: type[tf.IndexedSlices]) -> int:
        @tf.function
        def step(values: tf.Tensor, rows: tf.Tensor) -> None:
            optimizer.apply_gradients([(kind(values, rows), variables["wide"])])

        graph = step.get_concrete_function(
            tf.TensorSpec([None, 4]), tf.TensorSpec([None], tf.int64)
        ).graph
        return sum(operation.type == "UnsortedSegmentSum" for operation in graph.get_operations())

    optimizer.build(list(variables.values()))

    assert sums(tf.IndexedSlices) == 1
    assert sums(DistinctRows) == 0
