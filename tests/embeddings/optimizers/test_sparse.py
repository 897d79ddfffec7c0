import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfrec.embeddings.optimizers.adagrad import Adagrad
from tfrec.embeddings.optimizers.ftrl import Ftrl
from tfrec.embeddings.optimizers.lazy_adam import LazyAdam
from tfrec.embeddings.optimizers.rowwise_adagrad import RowwiseAdagrad
from tfrec.embeddings.optimizers.sgd import Sgd
from tfrec.embeddings.optimizers.sparse import SparseOptimizer

KINDS = [RowwiseAdagrad, Adagrad, LazyAdam, Ftrl, Sgd]
every_kind = pytest.mark.parametrize("kind", KINDS)


def slots_of(optimizer: SparseOptimizer) -> list[np.ndarray]:
    return [tf.convert_to_tensor(slot).numpy() for slot in optimizer.variables[1:]]


@every_kind
def test_rows_outside_the_batch_and_their_state_are_untouched(
    kind: type[SparseOptimizer], train: Callable, table: np.ndarray, batches: list
) -> None:
    optimizer, untouched = kind(0.3, weight_decay=0.1), kind(0.3, weight_decay=0.1)
    untouched.build([tf.Variable(table)])

    moved = train(optimizer, table, batches)

    np.testing.assert_array_equal(moved[-1], table[-1])
    for slot, start in zip(slots_of(optimizer), slots_of(untouched), strict=True):
        np.testing.assert_array_equal(slot[-1], start[-1])
        assert (slot != start).any()


@every_kind
def test_dense_gradient_moves_as_one_that_names_all_rows(
    kind: type[SparseOptimizer],
    train: Callable,
    train_densely: Callable,
    table: np.ndarray,
    full_batches: list,
) -> None:
    arguments = {"clip_norm": 1.0, "weight_decay": 0.1}

    sparse = train(kind(0.3, **arguments), table, full_batches)
    dense = train_densely(kind(0.3, **arguments), table, full_batches)

    np.testing.assert_allclose(dense, sparse, rtol=1e-5, atol=1e-6)


@every_kind
def test_vector_and_scalar_move_as_rows_of_one_float(
    kind: type[SparseOptimizer], train: Callable, table: np.ndarray, full_batches: list
) -> None:
    vector, scalar = tf.Variable(table[:, 0]), tf.Variable(table[0, 0])
    optimizer = kind(0.3, clip_norm=1.0, weight_decay=0.1)
    for rows, gradient in full_batches:
        of_first = gradient[list(rows).index(0), 0]
        slices = tf.IndexedSlices(gradient[:, 0], rows)
        optimizer.apply_gradients([(slices, vector), (tf.constant(of_first), scalar)])

    narrow = [(rows, gradient[:, :1]) for rows, gradient in full_batches]
    expected = train(kind(0.3, clip_norm=1.0, weight_decay=0.1), table[:, :1], narrow)
    np.testing.assert_allclose(vector.numpy(), expected[:, 0], rtol=1e-5)
    np.testing.assert_allclose(scalar.numpy(), expected[0, 0], rtol=1e-5)


@every_kind
def test_slices_of_one_row_are_summed_before_it_moves(
    kind: type[SparseOptimizer], train: Callable, table: np.ndarray
) -> None:
    twice = [(np.array([4, 2, 4]), np.array([[1, 2, 3], [5, 5, 5], [3, 2, 1]], np.float32))]
    once = [(np.array([4, 2]), np.array([[4, 4, 4], [5, 5, 5]], np.float32))]

    np.testing.assert_allclose(
        train(kind(0.3), table, twice), train(kind(0.3), table, once), rtol=1e-6
    )


def test_gradient_of_a_row_is_shortened_after_it_was_summed(
    train: Callable, table: np.ndarray
) -> None:
    gradient = np.array([[3, 0, 0], [0.3, 0.4, 0], [0, 4, 0]], np.float32)

    moved = train(Sgd(1.0, clip_norm=2.0), table, [(np.array([4, 2, 4]), gradient)])

    np.testing.assert_allclose(table[4] - moved[4], [1.2, 1.6, 0], atol=1e-6)
    np.testing.assert_allclose(table[2] - moved[2], [0.3, 0.4, 0], atol=1e-6)


def test_row_that_moves_has_decayed_as_if_all_rows_had_in_every_step(
    train: Callable, train_densely: Callable, table: np.ndarray, batches: list
) -> None:
    everything = (np.arange(len(table)), np.ones_like(table))

    lazy = train(Sgd(0.3, weight_decay=0.2), table, [*batches, everything])

    dense = tf_keras.optimizers.SGD(0.3, weight_decay=0.2)
    np.testing.assert_allclose(
        lazy, train_densely(dense, table, [*batches, everything]), rtol=1e-4, atol=1e-6
    )


def test_decay_equals_that_of_adam_where_every_row_is_in_every_batch(
    train: Callable, train_densely: Callable, table: np.ndarray, full_batches: list
) -> None:
    dense = tf_keras.optimizers.AdamW(0.3, weight_decay=0.2)

    np.testing.assert_allclose(
        train(LazyAdam(0.3, weight_decay=0.2), table, full_batches),
        train_densely(dense, table, full_batches),
        atol=1e-5,
    )


def test_step_that_comes_late_decays_nothing_and_keeps_the_later_mark() -> None:
    variable = tf.Variable([[8.0]])
    optimizer = Sgd(0.5, weight_decay=1.0)
    optimizer.build([variable])
    still = tf.IndexedSlices(tf.zeros([1, 1]), tf.constant([0]))

    for step, value, last in [(2, 1.0, 3.0), (0, 1.0, 3.0), (4, 0.25, 5.0)]:
        optimizer.iterations.assign(step)
        optimizer.update_step(still, variable)
        assert variable.numpy() == [[value]]
        assert slots_of(optimizer)[0] == [[last]]


def test_learning_rate_follows_its_schedule(train: Callable, table: np.ndarray) -> None:
    schedule = tf_keras.optimizers.schedules.PiecewiseConstantDecay([1], [1.0, 0.1])
    ones = [(np.array([4]), np.ones([1, 3], np.float32))] * 3

    moved = train(Sgd(schedule), table, ones)

    np.testing.assert_allclose(table[4] - moved[4], [1 + 1 + 0.1] * 3, rtol=1e-5)


@every_kind
def test_no_operation_of_a_step_has_the_size_of_the_table(kind: type[SparseOptimizer]) -> None:
    variable = tf.Variable(tf.zeros([997, 8]))
    optimizer = kind(0.3, clip_norm=1.0, weight_decay=0.1)
    optimizer.build([variable])

    @tf.function
    def step(rows: tf.Tensor, gradient: tf.Tensor) -> None:
        optimizer.apply_gradients([(tf.IndexedSlices(gradient, rows), variable)])

    graph = step.get_concrete_function(
        tf.TensorSpec([5], tf.int64), tf.TensorSpec([5, 8], tf.float32)
    ).graph

    outputs = [output for operation in graph.get_operations() for output in operation.outputs]
    large = [output.name for output in outputs if 997 in (output.shape.dims or [])]
    assert large == []


@every_kind
def test_config_makes_the_same_optimizer_again(
    kind: type[SparseOptimizer], train: Callable, table: np.ndarray, batches: list
) -> None:
    optimizer = kind(0.3, clip_norm=1.0, weight_decay=0.1)

    again = kind.from_config(optimizer.get_config())

    np.testing.assert_array_equal(train(again, table, batches), train(optimizer, table, batches))


@every_kind
def test_reset_rows_have_the_state_of_new_ones_from_this_step_on(
    kind: type[SparseOptimizer], table: np.ndarray, batches: list
) -> None:
    variable, optimizer = tf.Variable(table), kind(0.3, weight_decay=0.1)
    optimizer.build([variable])
    reset = [len(table) - 1, 1]
    new = slots_of(optimizer)
    for rows, gradient in batches:
        optimizer.apply_gradients([(tf.IndexedSlices(gradient, rows), variable)])
    used = slots_of(optimizer)

    optimizer.reset(variable, tf.constant(reset))

    for slot, before, start in zip(slots_of(optimizer)[:-1], used, new, strict=False):
        np.testing.assert_array_equal(slot[reset], start[reset])
        np.testing.assert_array_equal(np.delete(slot, reset, 0), np.delete(before, reset, 0))
    assert (slots_of(optimizer)[-1][reset] == len(batches)).all()


def shard(values: np.ndarray, shards: int) -> list[tf.Variable]:
    """Cuts a table as `ParameterServerStrategy` does."""
    if shards == 1:
        return [tf.Variable(values)]
    parts = [
        tf.Variable(part, name=f"table/part_{number}")
        for number, part in enumerate(np.array_split(values, shards))
    ]
    whole = tf.__internal__.distribute.ShardedVariable(parts, name="table")
    for part in parts:
        part._sharded_container = weakref.ref(whole)
        part.keep_alive = whole
    return parts


@every_kind
@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 1), (1, 2)])
def test_checkpoint_restores_state_on_another_number_of_servers(
    kind: type[SparseOptimizer], before: int, after: int, table: np.ndarray, tmp_path: Path
) -> None:
    def make(shards: int) -> tuple[SparseOptimizer, list[tf.Variable]]:
        variables = shard(table, shards)
        optimizer = kind(0.3, weight_decay=0.1)
        optimizer.build(variables)
        return optimizer, variables

    optimizer, variables = make(before)
    rng = np.random.default_rng(0)
    for _ in range(3):
        gradients = [tf.constant(rng.normal(size=part.shape), tf.float32) for part in variables]
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
    path = tf.train.Checkpoint(optimizer=optimizer).write(str(tmp_path / "checkpoint"))
    other, _ = make(after)

    tf.train.Checkpoint(optimizer=other).read(path).assert_consumed()

    assert other.iterations.numpy() == 3
    for slot, saved in zip(slots_of(other), slots_of(optimizer), strict=True):
        assert len(slot) == len(table)
        np.testing.assert_array_equal(slot, saved)


def test_replicas_in_step_move_rows_as_one_device_does(table: np.ndarray) -> None:
    """In a process of its own: devices cannot be cut once TensorFlow has started."""
    program = Path(__file__).with_name("two_replicas.py")

    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "replicas agree with one device"
