import numpy as np
import pytest

from tfrec.evaluation.report.reliability import reliability
from tfrec.metrics import calibration_error


def test_bins_hold_means_of_examples_of_similar_predictions() -> None:
    predictions = np.array([0.1, 0.9, 0.2, 0.8], np.float32)

    found = reliability(np.array([0, 1, 1, 1]), predictions, bins=2)

    assert found.predicted == pytest.approx([0.15, 0.85])
    assert found.happened == pytest.approx([0.5, 1.0])
    assert found.examples.tolist() == [2, 2]


def test_gaps_of_the_bins_make_the_calibration_error() -> None:
    random = np.random.default_rng(0)
    predictions = np.round(random.random(500), 2)
    labels = (random.random(500) < predictions**2).astype(int)

    found = reliability(labels, predictions)

    gaps = np.abs(found.predicted - found.happened) * found.examples
    assert gaps.sum() / 500 == pytest.approx(calibration_error(labels, predictions))


def test_equal_predictions_are_one_bin() -> None:
    found = reliability(np.array([1.0, 4.0]), np.array([3.0, 3.0]))

    assert (found.predicted.tolist(), found.happened.tolist()) == ([3.0], [2.5])
