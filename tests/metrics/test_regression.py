import math

import numpy as np
import pytest

from tfrec.metrics import mae, rmse


def test_errors_equal_their_definitions() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(1, 6, size=500)
    predictions = random.normal(3, 1, size=500).astype(np.float32)
    errors = [p - t for p, t in zip(predictions.tolist(), truth.tolist(), strict=True)]

    assert rmse(truth, predictions) == pytest.approx(math.sqrt(sum(e * e for e in errors) / 500))
    assert mae(truth, predictions) == pytest.approx(sum(map(abs, errors)) / 500)


def test_errors_of_no_examples_are_nan() -> None:
    assert math.isnan(rmse(np.zeros(0), np.zeros(0)))
    assert math.isnan(mae(np.zeros(0), np.zeros(0)))
