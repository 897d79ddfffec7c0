"""The losses of rankers, against plain loops over their lists."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.features.parsing import ITEM_ROW, LIST
from tfrec.models import DNN, ESMM, MMoE, Uplift
from tfrec.models.label_losses import LISTWISE, LabelLoss, label_losses

LISTS = [[0, 1, 0], [1], [0, 0], [1, 0, 1, 0]]
LABELS = np.array([label for one in LISTS for label in one], np.float32)
OUTPUTS = np.random.default_rng(0).normal(size=len(LABELS)).astype(np.float32)
NUMBERS = np.repeat(np.arange(len(LISTS)), [len(one) for one in LISTS])


def losses_of(loss: LabelLoss, number_from: int = 0) -> np.ndarray:
    inputs = {
        LIST: tf.constant(NUMBERS + number_from),
        ITEM_ROW: tf.range(len(LABELS), dtype=tf.int64),
    }
    return label_losses(loss, tf.constant(LABELS), tf.constant(OUTPUTS), inputs).numpy()


def sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-score))


def plain(loss: LabelLoss, scores: list[float], labels: list[float]) -> float:
    """The loss of a list, from its definition."""
    pairs = list(zip(scores, labels, strict=True))
    if loss == "calibrated":
        chances = [sigmoid(score) for score in scores]
        pointwise = -sum(math.log(p if y else 1 - p) for p, y in zip(chances, labels, strict=True))
        in_list = -sum(y * math.log(p / sum(chances)) for p, y in zip(chances, labels, strict=True))
        return 0.5 * pointwise + 0.5 * in_list
    if len(set(labels)) == 1:
        return 0.0
    if loss == "list_net":
        wanted = [math.exp(5 * label) for label in labels]
        found = [math.exp(score) for score in scores]
        return -sum(
            w / sum(wanted) * math.log(f / sum(found)) for w, f in zip(wanted, found, strict=True)
        )
    places = {s: place for place, s in enumerate(sorted(scores, reverse=True), 1)}
    best = sum(1 / math.log2(1 + place) for place in range(1, 1 + int(sum(labels))))
    return sum(
        abs(1 / math.log2(1 + places[up]) - 1 / math.log2(1 + places[down]))
        / best
        * math.log1p(math.exp(down - up))
        for (up, one), (down, other) in itertools.product(pairs, pairs)
        if one > other
    )


@pytest.mark.parametrize("loss", ["list_net", "lambda_rank", "calibrated"])
@pytest.mark.parametrize("number_from", [0, 7])
def test_a_list_shares_its_loss_out_among_its_examples(loss: LabelLoss, number_from: int) -> None:
    found = losses_of(loss, number_from)

    for number, labels in enumerate(LISTS):
        mine = number == NUMBERS
        expected = plain(loss, OUTPUTS[mine].tolist(), list(map(float, labels))) / len(labels)
        np.testing.assert_allclose(found[mine], expected, rtol=1e-4, atol=1e-6)


def test_list_mle_is_the_likelihood_of_an_order_by_the_labels() -> None:
    found = losses_of("list_mle")

    for number, labels in enumerate(LISTS):
        scores = OUTPUTS[number == NUMBERS]
        orders = [
            order
            for order in itertools.permutations(range(len(labels)))
            if all(labels[a] >= labels[b] for a, b in itertools.pairwise(order))
        ]
        possible = {
            sum(
                math.log(sum(math.exp(scores[left]) for left in order[place:])) - scores[item]
                for place, item in enumerate(order)
            )
            for order in orders
        }
        if len(set(labels)) == 1:
            possible = {0.0}
        (mine,) = set(found[number == NUMBERS] * len(labels))
        assert any(mine == pytest.approx(one, rel=1e-4) for one in possible)


def test_pointwise_losses_need_no_lists() -> None:
    chances = np.where(LABELS > 0, *(1 / (1 + np.exp(sign * OUTPUTS)) for sign in (-1, 1)))

    for loss, expected in (
        ("cross_entropy", -np.log(chances)),
        ("focal", -((1 - chances) ** 2) * np.log(chances)),
    ):
        found = label_losses(loss, tf.constant(LABELS), tf.constant(OUTPUTS), {})
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_losses_that_compare_items_read_lists() -> None:
    for loss in LISTWISE:
        assert DNN.reads(DNN.Settings(loss=loss)) == "lists"
        assert MMoE.reads(MMoE.Settings(loss=loss, tasks={"click": 1.0})) == "lists"
    assert DNN.reads(DNN.Settings(loss="focal")) == "labelled"
    assert DNN.reads(DNN.Settings(label="stars")) == "events"


@pytest.mark.parametrize(
    ("template", "settings", "message"),
    [
        (DNN, {"loss": "hinge"}, r"model.loss: .*list_net"),
        (DNN, {"loss": "focal", "label": "stars"}, r"loss focal is not for a label, here stars"),
        (ESMM, {"loss": "lambda_rank"}, r"model.loss: .*cross_entropy"),
        (Uplift, {"loss": "focal", "treatment": "offer"}, r"model.loss: .*cross_entropy"),
        (DNN, {"uniform_negatives": 4, "label": "stars"}, r"uniform_negatives: have no stars"),
        (MMoE, {"uniform_negatives": 4, "tasks": {"click": 1}}, r"model.uniform_negatives: .*0"),
        (Uplift, {"uniform_negatives": 4, "treatment": "offer"}, r"model.uniform_negatives: .*0"),
    ],
)
def test_losses_that_cannot_be_are_refused(
    template: type[DNN], settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        validate(template.Settings, settings, "model")
