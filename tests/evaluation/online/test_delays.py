import numpy as np
import pytest

from tfrec.evaluation.online.delays import Followed, NotGivenError, followed

DAY = 86_400


def drawn(seed: int, clicks: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Clicks of 20 days, a tenth of which lead to an order after 3 days on average."""
    random = np.random.default_rng(seed)
    ages = random.uniform(0, 20 * DAY, clicks)
    waited = random.exponential(3 * DAY, clicks)
    happens = (random.random(clicks) < 0.1) & (waited <= ages)
    return np.where(happens, waited, np.inf), ages


def rate(counts: Followed) -> float:
    return counts.happened.sum() / counts.counted.sum()


def test_clicks_too_young_are_left_out_and_counted() -> None:
    counts = followed(np.array([1, np.inf, 1, 9]), np.array([10, 10, 9, 20]), 10, "exclude")

    assert counts.happened.tolist() == [1, 0, 0, 1]
    assert counts.counted.tolist() == [1, 1, 0, 1]
    assert counts.left_out == 1


def test_weight_is_one_over_the_share_of_clicks_as_old() -> None:
    waited, ages = drawn(0, 300)

    counts = followed(waited, ages, 7 * DAY, "weight")

    for happened, delay in zip(counts.happened, waited, strict=True):
        share = sum(age >= delay for age in ages) / len(ages)
        assert happened == pytest.approx(1 / share if delay <= 7 * DAY else 0)


def test_both_ways_are_unbiased_where_plain_counting_is_not() -> None:
    truth = 0.1 * (1 - np.exp(-7 / 3))
    draws = [drawn(seed) for seed in range(40)]

    plain = np.mean([(waited <= 7 * DAY).mean() for waited, _ in draws])
    ways = {
        late: np.array([rate(followed(*draw, 7 * DAY, late)) for draw in draws])
        for late in ("exclude", "weight")
    }

    assert plain < 0.9 * truth
    for rates in ways.values():
        assert abs(rates.mean() - truth) < 3 * rates.std() / np.sqrt(len(rates))
    assert ways["weight"].std() < ways["exclude"].std()


def test_log_shorter_than_the_window_is_refused() -> None:
    for late in ("exclude", "weight"):
        with pytest.raises(
            NotGivenError, match=r"needs events at least 7 days before.*oldest is 1.5 days"
        ):
            followed(np.array([5.0]), np.array([1.5 * DAY]), 7 * DAY, late)
    with pytest.raises(NotGivenError, match="there is none"):
        followed(np.array([]), np.array([]), 7 * DAY, "exclude")
    with pytest.raises(NotGivenError, match=r"30 minutes before the log's end, .*is 5 seconds"):
        followed(np.array([5.0]), np.array([5.0]), 1_800, "exclude")
