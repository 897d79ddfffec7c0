import math

import numpy as np
import pytest

from tfrec.metrics import auc, calibration_error, gauc, log_loss


@pytest.fixture(params=[0, 1, 2])
def examples(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shoppers, labels and predictions with many ties; some shoppers have one kind of label."""
    random = np.random.default_rng(request.param)
    shoppers = random.integers(40, size=300)
    labels = (random.random(300) < 0.3).astype(np.int64)
    predictions = np.round(np.clip(labels * 0.2 + random.random(300) * 0.8, 0, 1), 1)
    return shoppers, labels, predictions.astype(np.float32)


def plain_auc(labels: list[int], predictions: list[float]) -> float | None:
    above = [p for p, label in zip(predictions, labels, strict=True) if label]
    below = [p for p, label in zip(predictions, labels, strict=True) if not label]
    if not above or not below:
        return None
    won = sum((a > b) + 0.5 * (a == b) for a in above for b in below)
    return won / (len(above) * len(below))


def test_auc_counts_pairs_in_order_and_half_of_the_ties(
    examples: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    _, labels, predictions = examples

    assert auc(labels, predictions) == pytest.approx(
        plain_auc(labels.tolist(), predictions.tolist())
    )


def test_gauc_averages_the_shoppers_aucs_by_their_impressions(
    examples: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    shoppers, labels, predictions = examples
    total = weights = 0.0
    for shopper in range(40):
        own = shoppers == shopper
        value = plain_auc(labels[own].tolist(), predictions[own].tolist())
        if value is not None:
            total, weights = total + value * own.sum(), weights + own.sum()
    assert weights < 300

    assert gauc(shoppers, labels, predictions) == pytest.approx(total / weights)
    named = np.char.add("shopper-", shoppers.astype(str))
    assert gauc(named, labels, predictions) == pytest.approx(total / weights)


def test_auc_of_constant_predictions_is_a_half_and_of_one_class_nothing() -> None:
    assert auc(np.array([0, 1, 1]), np.ones(3)) == 0.5
    assert math.isnan(auc(np.ones(3, int), np.arange(3)))
    assert math.isnan(auc(np.zeros(0, int), np.zeros(0)))
    assert math.isnan(gauc(np.arange(3), np.array([0, 1, 1]), np.arange(3)))


def test_log_loss_equals_its_definition() -> None:
    labels, predictions = np.array([1, 0, 1]), np.array([0.9, 0.4, 0.2])

    expected = -(math.log(0.9) + math.log(0.6) + math.log(0.2)) / 3

    assert log_loss(labels, predictions) == pytest.approx(expected)


def test_log_loss_of_a_wrong_certainty_is_finite() -> None:
    assert log_loss(np.array([1, 0]), np.array([0, 1], np.float32)) == pytest.approx(
        -math.log(1e-7), rel=1e-4
    )


def test_calibration_error_equals_a_plain_recomputation_without_ties() -> None:
    random = np.random.default_rng(0)
    predictions = random.random(1000)
    labels = (random.random(1000) < predictions**2).astype(int)

    pairs = sorted(zip(predictions.tolist(), labels.tolist(), strict=True))
    bins = [pairs[start : start + 100] for start in range(0, 1000, 100)]
    gaps = [abs(sum(p for p, _ in part) - sum(y for _, y in part)) for part in bins]

    assert calibration_error(labels, predictions) == pytest.approx(sum(gaps) / 1000)


def test_equal_predictions_share_a_bin() -> None:
    labels = np.array([1, 0, 1, 0, 1, 0])

    assert calibration_error(labels, np.full(6, 0.5), bins=3) == pytest.approx(0)
    assert calibration_error(labels, np.full(6, 0.75), bins=3) == pytest.approx(0.25)
    assert math.isnan(calibration_error(np.zeros(0, int), np.zeros(0)))
