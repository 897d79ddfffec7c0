from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from toy_model import ITEMS, Batch, make_batch, make_model

from tfrec.embeddings.optimizers.distinct import DistinctRows
from tfrec.features.parsing import ITEM_ROW
from tfrec.models import TwoTower
from tfrec.training.config import TrainingConfig
from tfrec.training.step import WORKER, TrainingStep, make_step

BATCH = 32
SGD = {kind: {"kind": "sgd", "learning_rate": 0.5} for kind in ("tables", "dense")}

Gradients = dict[str, np.ndarray]


class LikesAgain(TwoTower):
    """Looks up the items a second time, as a template with a loss of its own may."""

    def compute_loss(self, inputs: Batch, training: bool = False) -> tf.Tensor:
        loss = super().compute_loss(inputs, training)
        again = self.embedding({"sku": inputs["sku"][:9]}, training=training)["sku"]
        return loss + tf.reduce_mean(tf.square(again))


@pytest.fixture
def precision() -> Iterator[None]:
    """Takes back the policy that a test sets."""
    before = tf_keras.mixed_precision.global_policy()
    yield
    tf_keras.mixed_precision.set_global_policy(before)


def config(**training: object) -> TrainingConfig:
    return TrainingConfig.model_validate({"strategy": "single", "batch_size": BATCH, **training})


def step_of(template: type[TwoTower] = TwoTower, **training: object) -> TrainingStep:
    made = config(**training)
    return make_step(make_model(template, made.optimizers), made)


def plain_gradients(model: TwoTower, parts: Sequence[Batch]) -> Gradients:
    """TensorFlow's own gradients of the mean of the parts' losses, the tables' made dense."""
    with tf.GradientTape() as tape:
        losses = [model.compute_loss(part, training=True) for part in parts]
        loss = tf.add_n(losses) / len(parts)
    gradients = tape.gradient(loss, model.trainable_variables)
    return {
        weight.name: tf.convert_to_tensor(gradient).numpy()
        for weight, gradient in zip(model.trainable_variables, gradients, strict=True)
    }


def halves(batch: Batch) -> list[Batch]:
    half = BATCH // 2
    return [{name: c[first : first + half] for name, c in batch.items()} for first in (0, half)]


def changes(step: TrainingStep, batch: Batch) -> Gradients:
    """How each weight moves in a step of gradient descent, over the learning rate."""
    before = [weight.numpy() for weight in step.model.trainable_variables]
    tf.function(step.train_step, autograph=False)(batch)
    after = step.model.trainable_variables
    return {
        weight.name: (old - weight.numpy()) / 0.5 for weight, old in zip(after, before, strict=True)
    }


@pytest.mark.parametrize("template", [TwoTower, LikesAgain])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_weights_follow_tensorflows_own_gradient_of_the_mean_of_the_parts(
    template: type[TwoTower], accumulation: int
) -> None:
    step, batch = step_of(template, accumulation=accumulation, optimizers=SGD), make_batch(BATCH)
    parts = [batch] if accumulation == 1 else halves(batch)
    assert len({*parts[0][ITEM_ROW].numpy()} & {*parts[-1][ITEM_ROW].numpy()}) > 2
    expected = plain_gradients(step.model, parts)

    moved = changes(step, batch)

    assert moved.keys() == expected.keys()
    for name, gradient in expected.items():
        np.testing.assert_allclose(moved[name], gradient, rtol=1e-3, atol=2e-6, err_msg=name)


@pytest.mark.parametrize(("template", "distinct"), [(TwoTower, True), (LikesAgain, False)])
def test_rows_of_a_single_lookup_are_not_summed_again(
    template: type[TwoTower], distinct: bool
) -> None:
    step = step_of(template)

    _, gradients = step._gradients(make_batch(BATCH))

    sparse = [gradient for gradient in gradients if isinstance(gradient, tf.IndexedSlices)]
    assert len(sparse) == 2
    assert all(isinstance(gradient, DistinctRows) for gradient in sparse) == distinct


@pytest.mark.parametrize("accumulation", [1, 2])
def test_what_the_loss_does_not_use_stays_as_it_is(accumulation: int) -> None:
    class ItemsOnly(TwoTower):
        def compute_loss(self, inputs: Batch, training: bool = False) -> tf.Tensor:
            embedded = self.embedding({name: inputs[name] for name in ("sku", "aisle")})
            return tf.reduce_mean(embedded["sku"])

    step = step_of(ItemsOnly, accumulation=accumulation)

    moved = changes(step, make_batch(BATCH))

    (name,) = [name for name, change in moved.items() if change.any()]
    assert name.endswith("rowwise_adagrad_8/table:0")


def test_regularisation_counts_once() -> None:
    class Regularised(TwoTower):
        def query_tower(self) -> tf_keras.Model:
            dense = tf_keras.layers.Dense(8, kernel_regularizer=tf_keras.regularizers.L2(0.5))
            return tf_keras.Sequential([dense])

    plain, pulled = step_of(optimizers=SGD), step_of(Regularised, optimizers=SGD)
    kernel = next(w for w in pulled.model.trainable_variables if "kernel" in w.name)
    before = [weight.numpy() for weight in pulled.model.trainable_variables]
    for weight, value in zip(plain.model.trainable_variables, before, strict=True):
        weight.assign(value)
    batch = make_batch(BATCH)

    moved, pull = changes(plain, batch), changes(pulled, batch)

    different = [
        name
        for a, (name, b) in zip(moved.values(), pull.items(), strict=True)
        if np.abs(a - b).max() > 1e-4
    ]
    assert different == [kernel.name]


def test_mean_loss_is_that_of_the_steps_since_its_reset() -> None:
    step = step_of()
    first, second, third = (
        float(step.train_step(make_batch(BATCH, seed))["loss"]) for seed in range(3)
    )

    assert float(step.mean_loss.result()) == pytest.approx((first + second + third) / 3)
    step.mean_loss.reset_state()
    assert float(step.mean_loss.result()) == 0
    again = float(step.train_step(make_batch(BATCH))["loss"])
    assert float(step.mean_loss.result()) == pytest.approx(again)


def test_steps_of_each_worker_are_counted() -> None:
    step = step_of(workers=3)

    for worker in (2, 0, 2):
        batch = {**make_batch(BATCH), WORKER: tf.constant(worker, tf.int64)}
        tf.function(step.train_step, autograph=False)(batch)

    assert step.worker_steps.numpy().tolist() == [1, 0, 2]
    assert int(step.optimizer.iterations) == 3


def test_validation_changes_nothing_and_measures_the_loss_without_hiding() -> None:
    step, batch = step_of(), make_batch(BATCH)
    before = [weight.numpy() for weight in step.model.weights]

    measured = step.test_step({**batch, WORKER: tf.constant(0, tf.int64)})

    loss = step.model.compute_loss(batch)
    assert float(measured["validation_loss"]) == pytest.approx(float(loss))
    for weight, old in zip(step.model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)


@pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_mixed_precision_learns_with_tables_and_vectors_of_float32(
    precision: None, name: str, accumulation: int
) -> None:
    tf_keras.mixed_precision.set_global_policy(name)
    step = step_of(precision=name, accumulation=accumulation)
    train = tf.function(step.train_step, autograph=False)

    losses = [float(train(make_batch(BATCH, seed % 4))["loss"]) for seed in range(40)]

    assert np.isfinite(losses).all()
    assert np.mean(losses[-4:]) < 0.6 * np.mean(losses[:4])
    assert {weight.dtype for weight in step.model.trainable_variables} == {tf.float32}
    batch = make_batch(ITEMS)
    assert step.model.embed_query(batch).dtype == tf.float32
    assert step.model.embed_item(batch).dtype == tf.float32


def test_mixed_precision_stays_near_full_precision(precision: None) -> None:
    full = [float(step_of().train_step(make_batch(BATCH))["loss"])]
    for name in ("mixed_bfloat16", "mixed_float16"):
        tf_keras.mixed_precision.set_global_policy(name)
        full.append(float(step_of(precision=name).train_step(make_batch(BATCH))["loss"]))

    assert full[1:] == pytest.approx([full[0]] * 2, rel=0.02)
    assert len(set(full)) == 3


def test_a_step_of_float16_that_overflows_is_left_out_and_lowers_the_scale(precision: None) -> None:
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    step = step_of(precision="mixed_float16")
    step.optimizer._loss_scale.current_loss_scale.assign(1e38)
    before = [weight.numpy() for weight in step.model.trainable_variables]

    step_function = tf.function(step.train_step, autograph=False)
    step_function(make_batch(BATCH))

    assert float(step.optimizer.loss_scale) == pytest.approx(0.5e38)
    for weight, old in zip(step.model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(weight, old)
