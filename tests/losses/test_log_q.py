import numpy as np
import pytest

from tfrec.losses import log_q

SHARES = np.array([0.5, 0.3, 0.15, 0.05])


def test_it_is_the_logarithm_of_how_often_batches_hold_an_item() -> None:
    random = np.random.default_rng(0)
    batches = random.choice(4, size=(20_000, 5), p=SHARES)
    uniform = random.integers(4, size=(20_000, 3))

    held = [(batches == item).any(axis=1).mean() for item in range(4)]
    either = [((batches == item).any(1) | (uniform == item).any(1)).mean() for item in range(4)]

    np.testing.assert_allclose(np.exp(log_q(SHARES, 5)), held, rtol=0.03)
    np.testing.assert_allclose(np.exp(log_q(SHARES, 5, 3, 4)), either, rtol=0.03)


def test_corrected_exponentials_add_up_to_those_of_the_catalogue() -> None:
    random = np.random.default_rng(0)
    scores = np.array([-1.0, 2.0, 0.5, 1.0])
    corrected = np.exp(scores - np.array(log_q(SHARES, 5)))
    batches = random.choice(4, size=(20_000, 5), p=SHARES)

    sums = [corrected[np.unique(batch)].sum() for batch in batches]

    assert np.mean(sums) == pytest.approx(np.exp(scores).sum(), rel=0.02)


@pytest.mark.parametrize("draws", [1, 65_536])
def test_it_is_finite_and_never_above_0(draws: int) -> None:
    values = np.array(log_q(np.array([0.0, 1e-9, 0.999999999, 1.0]), draws))

    assert np.isfinite(values).all()
    assert (values <= 0).all()


def test_an_item_that_is_never_bought_is_only_drawn_uniformly() -> None:
    np.testing.assert_allclose(
        np.exp(log_q(np.array([0.0]), 64, 10, 100)), [1 - 0.99**10], rtol=1e-5
    )
    np.testing.assert_allclose(log_q(np.array([0.0]), 64, 1, 1), [0.0], atol=1e-6)
