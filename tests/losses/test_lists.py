"""Losses of lists, against their definitions in plain Python over the entries that are there."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tfrec.losses import calibrated_ranking, lambda_rank, list_mle, list_net

Loss = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
Lists = tuple[np.ndarray, np.ndarray, np.ndarray]

LENGTHS = [6, 4, 1, 0, 2]
EMPTY, ALONE = 3, 2


def list_mle_with_a_seed(scores: tf.Tensor, labels: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    return list_mle(scores, labels, mask, tf.constant([0, 1]))


def plain_list_net(scores: list[float], labels: list[float]) -> float:
    wanted, given = ([math.exp(value) for value in values] for values in (labels, scores))
    return -sum(
        want / sum(wanted) * math.log(give / sum(given))
        for want, give in zip(wanted, given, strict=True)
    )


def plain_list_mle(scores: list[float], labels: list[float]) -> float:
    left = [score for _, score in sorted(zip(labels, scores, strict=True), reverse=True)]
    loss = 0.0
    while left:
        loss += math.log(sum(math.exp(score) for score in left)) - left.pop(0)
    return loss


def plain_lambda_rank(scores: list[float], labels: list[float]) -> float:
    def dcg(order: list[int]) -> float:
        places = enumerate(order, 1)
        return sum((2 ** labels[item] - 1) / math.log2(1 + place) for place, item in places)

    items = range(len(scores))
    best = dcg(sorted(items, key=lambda item: -labels[item]))
    order = sorted(items, key=lambda item: -scores[item])
    loss = 0.0
    for better in items:
        for worse in items:
            if labels[better] > labels[worse]:
                exchange = {better: worse, worse: better}
                exchanged = [exchange.get(item, item) for item in order]
                change = abs(dcg(exchanged) - dcg(order)) / best
                loss += change * math.log(1 + math.exp(scores[worse] - scores[better]))
    return loss


def plain_calibrated(scores: list[float], labels: list[float]) -> float:
    chances = [1 / (1 + math.exp(-score)) for score in scores]
    pointwise = -sum(
        math.log(chance if label else 1 - chance)
        for chance, label in zip(chances, labels, strict=True)
    )
    in_list = -sum(
        label * math.log(chance / sum(chances))
        for chance, label in zip(chances, labels, strict=True)
    )
    return 0.5 * pointwise + 0.5 * in_list


GRADED = [
    (list_net, plain_list_net),
    (list_mle_with_a_seed, plain_list_mle),
    (lambda_rank, plain_lambda_rank),
]
every_loss = pytest.mark.parametrize("loss", [*(loss for loss, _ in GRADED), calibrated_ranking])


@pytest.fixture
def lists() -> Lists:
    """Scores, labels without equals in a list, and which entries are there; the others are NaN."""
    random = np.random.default_rng(0)
    mask = np.arange(6) < np.array(LENGTHS)[:, np.newaxis]
    mask = random.permuted(mask, axis=1)
    labels = random.permuted(np.tile(np.arange(6.0), (5, 1)), axis=1)
    scores = np.where(mask, random.normal(size=(5, 6)), np.nan)
    return scores.astype(np.float32), np.where(mask, labels, np.nan), mask


def with_binary_labels(lists: Lists) -> Lists:
    scores, labels, mask = lists
    return scores, np.where(mask, labels % 2, np.nan), mask


def plain_losses(lists: Lists, plain: Callable[..., float]) -> list[float]:
    return [
        plain(scores[there].tolist(), labels[there].tolist())
        for scores, labels, there in zip(*lists, strict=True)
    ]


@pytest.mark.parametrize(("loss", "plain"), GRADED)
def test_losses_of_graded_lists_equal_the_definition(
    lists: Lists, loss: Loss, plain: Callable[..., float]
) -> None:
    losses = loss(*lists)

    np.testing.assert_allclose(losses, plain_losses(lists, plain), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("loss", "plain"),
    [
        (list_net, plain_list_net),
        (lambda_rank, plain_lambda_rank),
        (calibrated_ranking, plain_calibrated),
    ],
)
def test_losses_of_binary_lists_equal_the_definition(
    lists: Lists, loss: Loss, plain: Callable[..., float]
) -> None:
    binary = with_binary_labels(lists)

    np.testing.assert_allclose(loss(*binary), plain_losses(binary, plain), rtol=1e-4, atol=1e-6)


@every_loss
def test_padding_gets_no_gradient_and_spoils_none(lists: Lists, loss: Loss) -> None:
    scores, labels, mask = with_binary_labels(lists)
    watched = tf.constant(scores)
    with tf.GradientTape() as tape:
        tape.watch(watched)
        losses = loss(watched, labels, mask)

    slope = tape.gradient(losses, watched).numpy()
    assert np.isfinite(slope).all()
    assert (slope[~mask] == 0).all()
    assert (slope[0][mask[0]] != 0).any()


@every_loss
def test_empty_lists_cost_nothing(lists: Lists, loss: Loss) -> None:
    assert loss(*with_binary_labels(lists))[EMPTY].numpy() == 0


@pytest.mark.parametrize("loss", [loss for loss, _ in GRADED])
def test_a_list_of_one_item_has_nothing_to_order(lists: Lists, loss: Loss) -> None:
    assert loss(*lists)[ALONE].numpy() == pytest.approx(0, abs=1e-6)


@every_loss
@pytest.mark.parametrize("scale", [-1e4, 1e4])
def test_extreme_scores_have_finite_losses_and_gradients(loss: Loss, scale: float) -> None:
    scores = scale * tf.constant([[1.0, 0.5, -1.0, 0.0]])
    labels, mask = tf.constant([[1, 0, 0, 1]]), tf.constant([[True, True, True, False]])
    with tf.GradientTape() as tape:
        tape.watch(scores)
        losses = loss(scores, labels, mask)

    assert np.isfinite(losses).all()
    assert np.isfinite(tape.gradient(losses, scores)).all()


@every_loss
def test_half_precision_is_computed_in_float32(lists: Lists, loss: Loss) -> None:
    scores, labels, mask = with_binary_labels(lists)

    losses = loss(tf.cast(scores, tf.bfloat16), labels, mask)

    assert losses.dtype == tf.float32
    np.testing.assert_allclose(losses, loss(scores, labels, mask), rtol=0.02, atol=0.02)


@every_loss
def test_graphs_of_unknown_shapes_give_the_same(lists: Lists, loss: Loss) -> None:
    scores, labels, mask = with_binary_labels(lists)
    unknown = [tf.TensorSpec([None, None], kind) for kind in (tf.float32, tf.float64, tf.bool)]

    losses = tf.function(loss, input_signature=unknown)(scores, labels, mask)

    np.testing.assert_allclose(losses, loss(scores, labels, mask), rtol=1e-5, atol=1e-7)


def test_lambda_rank_pulls_as_its_lambdas() -> None:
    scores, labels = tf.constant([[0.3, 1.0, -0.5]]), tf.constant([[2, 0, 1]])
    with tf.GradientTape() as tape:
        tape.watch(scores)
        losses = lambda_rank(scores, labels, tf.constant([[True] * 3]))

    best = 3 / math.log2(2) + 1 / math.log2(3)
    places, gains = [2, 1, 3], [3, 0, 1]
    pull = [0.0] * 3
    for better, worse in [(0, 1), (0, 2), (2, 1)]:
        discounts = [1 / math.log2(1 + places[item]) for item in (better, worse)]
        change = abs(gains[better] - gains[worse]) * abs(discounts[0] - discounts[1]) / best
        distance = float(scores[0, better] - scores[0, worse])
        strength = change / (1 + math.exp(distance))
        pull[better] -= strength
        pull[worse] += strength
    np.testing.assert_allclose(tape.gradient(losses, scores)[0], pull, rtol=1e-5)


def test_list_mle_takes_equals_in_any_order_by_the_seed() -> None:
    scores, labels, mask = [[2.0, -1.0, 0.5]], [[1, 1, 0]], [[True, True, True]]
    either = [plain_list_mle(scores[0], order) for order in ([3, 2, 0], [2, 3, 0])]

    losses = [float(list_mle(scores, labels, mask, [0, step])[0]) for step in range(200)]

    assert np.isclose(np.subtract.outer(losses, either), 0, atol=1e-5).any(axis=1).all()
    assert np.mean(losses) == pytest.approx(np.mean(either), rel=0.1)
    assert losses[7] == float(list_mle(scores, labels, mask, [0, 7])[0])


@pytest.mark.parametrize("listwise", [0.0, 0.5, 0.9])
def test_calibrated_ranking_is_best_where_scores_are_the_log_odds(listwise: float) -> None:
    """The mean over all labels that three items may get, each as often as it happens."""
    chances = np.array([0.1, 0.4, 0.7])
    labels = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T  # [8, 3]
    likely = np.where(labels, chances, 1 - chances).prod(axis=1)
    scores = tf.constant(np.log(chances / (1 - chances)), tf.float32)
    every = np.ones_like(labels, bool)

    def slope(loss: Loss) -> np.ndarray:
        with tf.GradientTape() as tape:
            tape.watch(scores)
            losses = loss(tf.tile(scores[tf.newaxis], [8, 1]), labels, every)
            expected = tf.reduce_sum(losses * likely.astype(np.float32))
        return tape.gradient(expected, scores).numpy()

    compatible = slope(lambda *lists: calibrated_ranking(*lists, listwise=listwise))
    np.testing.assert_allclose(compatible, 0, atol=1e-6)
    assert np.abs(slope(list_net)).max() > 0.03
