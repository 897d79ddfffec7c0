"""Losses of a positive and its negatives, against their definitions in plain Python."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tfrec.losses import binary_cross_entropy, bpr, gbce, sampled_softmax

ITEMS = 21

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def gbce_of_catalogue(positive: tf.Tensor, negatives: tf.Tensor) -> tf.Tensor:
    return gbce(positive, negatives, ITEMS)


def sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-score))


def plain_bpr(positive: float, negatives: list[float]) -> float:
    losses = [-math.log(sigmoid(positive - negative)) for negative in negatives]
    return sum(losses) / len(losses)


def plain_binary(positive: float, negatives: list[float], power: float = 1) -> float:
    losses = [-math.log(1 - sigmoid(negative)) for negative in negatives]
    return (-math.log(sigmoid(positive) ** power) + sum(losses)) / (1 + len(losses))


def plain_gbce(positive: float, negatives: list[float], t: float = 0.75) -> float:
    alpha = len(negatives) / (ITEMS - 1)
    return plain_binary(positive, negatives, alpha * (t * (1 - 1 / alpha) + 1 / alpha))


def plain_softmax(positive: float, negatives: list[float]) -> float:
    every = [math.exp(score) for score in (positive, *negatives)]
    return -math.log(every[0] / sum(every))


CASES = [
    (bpr, plain_bpr),
    (binary_cross_entropy, plain_binary),
    (gbce_of_catalogue, plain_gbce),
    (sampled_softmax, plain_softmax),
]
every_loss = pytest.mark.parametrize("loss", [loss for loss, _ in CASES])


@pytest.fixture
def scores() -> tuple[tf.Tensor, tf.Tensor]:
    random = np.random.default_rng(0)
    positive, negatives = random.normal(size=5), random.normal(size=(5, 3))
    return tf.constant(2 * positive, tf.float32), tf.constant(2 * negatives, tf.float32)


@pytest.mark.parametrize(("loss", "plain"), CASES)
def test_losses_equal_the_definition(
    scores: tuple[tf.Tensor, tf.Tensor], loss: Loss, plain: Callable[..., float]
) -> None:
    losses = loss(*scores)

    assert losses.shape == (5,)
    rows = zip(*(values.numpy().tolist() for values in scores), strict=True)
    np.testing.assert_allclose(losses, [plain(*row) for row in rows], rtol=1e-5)


@pytest.mark.parametrize("t", [0.0, 0.5, 1.0])
def test_gbce_equals_the_definition_at_any_t(scores: tuple[tf.Tensor, tf.Tensor], t: float) -> None:
    rows = zip(*(values.numpy().tolist() for values in scores), strict=True)

    np.testing.assert_allclose(
        gbce(*scores, ITEMS, t), [plain_gbce(*row, t) for row in rows], rtol=1e-5
    )


def test_gbce_is_log_loss_at_t_0_and_with_all_items_as_negatives(
    scores: tuple[tf.Tensor, tf.Tensor],
) -> None:
    expected = binary_cross_entropy(*scores)

    np.testing.assert_allclose(gbce(*scores, ITEMS, t=0.0), expected, rtol=1e-6)
    np.testing.assert_allclose(gbce(*scores, 4, t=1.0), expected, rtol=1e-6)


@pytest.mark.parametrize(("t", "chance"), [(1.0, 0.2), (0.0, 0.2 / (0.2 + 0.8 / 20))])
def test_gbce_at_t_1_learns_the_chance_of_a_purchase(t: float, chance: float) -> None:
    """An item is bought at one time of five; at the others, it is drawn one time of twenty.

    Log loss (t = 0) learns how often it is bought of the times that it is seen.
    """
    score = math.log(chance / (1 - chance))
    value = tf.constant([score])
    none = tf.constant([[-np.inf]])
    with tf.GradientTape() as tape:
        tape.watch(value)
        bought = gbce(value, none, ITEMS, t)
        drawn = gbce(tf.constant([50.0]), value[:, tf.newaxis], ITEMS, t)
        expected = 0.2 * bought + 0.8 * drawn / (ITEMS - 1)

    assert tape.gradient(expected, value).numpy() == pytest.approx(0, abs=1e-5)


@every_loss
def test_positions_of_a_sequence_are_taken_one_by_one(loss: Loss) -> None:
    random = np.random.default_rng(0)
    positive, negatives = random.normal(size=(2, 5)), random.normal(size=(2, 5, 3))

    losses = loss(positive, negatives)

    np.testing.assert_allclose(
        losses, [loss(*rows) for rows in zip(positive, negatives, strict=True)], rtol=1e-6
    )


@every_loss
def test_a_negative_of_minus_infinity_has_no_part(
    scores: tuple[tf.Tensor, tf.Tensor], loss: Loss
) -> None:
    positive, negatives = scores
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(negatives)
        barred = tf.where([True, True, False], negatives, -np.inf)
        loss_of_two = tf.reduce_sum(loss(positive, barred))
        loss_of_far = tf.reduce_sum(loss(positive, tf.where([True, True, False], negatives, -1e4)))

    assert loss_of_two.numpy() == pytest.approx(loss_of_far.numpy(), rel=1e-6)
    slope = tape.gradient(loss_of_two, negatives).numpy()
    assert np.isfinite(slope).all()
    assert (slope[:, :2] > 0).all()
    assert (slope[:, 2] == 0).all()


@every_loss
@pytest.mark.parametrize("score", [-1e4, 1e4])
def test_extreme_scores_have_finite_losses_and_gradients(loss: Loss, score: float) -> None:
    positive, negatives = tf.constant([score]), tf.constant([[-score, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch([positive, negatives])
        losses = loss(positive, negatives)

    assert np.isfinite(losses).all()
    for slope in tape.gradient(losses, [positive, negatives]):
        assert np.isfinite(slope).all()


@every_loss
def test_half_precision_is_computed_in_float32(
    scores: tuple[tf.Tensor, tf.Tensor], loss: Loss
) -> None:
    halves = [tf.cast(values, tf.bfloat16) for values in scores]

    losses = loss(*halves)

    assert losses.dtype == tf.float32
    np.testing.assert_array_equal(losses, loss(*(tf.cast(half, tf.float32) for half in halves)))


@every_loss
def test_graphs_of_unknown_shapes_give_the_same(
    scores: tuple[tf.Tensor, tf.Tensor], loss: Loss
) -> None:
    unknown = [tf.TensorSpec([None]), tf.TensorSpec([None, None])]

    losses = tf.function(loss, input_signature=unknown)(*scores)

    np.testing.assert_allclose(losses, loss(*scores), rtol=1e-6)


@every_loss
def test_a_positive_of_another_rank_is_refused(loss: Loss) -> None:
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        loss(tf.zeros([5, 1]), tf.zeros([5, 3]))
