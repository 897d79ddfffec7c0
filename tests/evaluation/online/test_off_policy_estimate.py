from collections.abc import Callable

import pytest

from tfrec.config import validate
from tfrec.evaluation.online.off_policy_config import OffPolicyConfig
from tfrec.evaluation.online.off_policy_estimate import OffPolicyEstimate, estimate
from tfrec.evaluation.online.rounds import read_rounds

LOG = {
    "action": [*"aaaabbbb"] * 50,
    "reward": [1, 1, 1, 0, 0, 0, 0, 1] * 50,
    "propensity": [0.5] * 400,
}


@pytest.fixture
def run(bandit: Callable) -> Callable[..., OffPolicyEstimate]:
    """Estimates a target from a log that chooses a and b alike."""

    def of(target: dict[str, float], log: dict = LOG, **changes: object) -> OffPolicyEstimate:
        table = {"action": [*target], "probability": [*target.values()]}
        config = validate(OffPolicyConfig, bandit(log, table, **{"resamples": 500, **changes}))
        return estimate(read_rounds(config), config)

    return of


def test_every_estimator_finds_the_targets_worth(run: Callable[..., OffPolicyEstimate]) -> None:
    found = run({"a": 0.9, "b": 0.1})

    assert found.logged.value == 0.5
    for name in ("IPS", "SNIPS", "DR"):
        figure = found.estimates[name]
        assert figure.value == pytest.approx(0.9 * 0.75 + 0.1 * 0.25, abs=1e-3)
        assert figure.low < figure.value < figure.high
    assert found.effective_rows == pytest.approx(400 / (2 * (0.81 + 0.01)))
    assert not found.unsupported
    assert not found.doubtful


def test_what_the_log_never_shows_is_named(run: Callable[..., OffPolicyEstimate]) -> None:
    found = run({"a": 0.5, "b": 0.1, "c": 0.3, "d": 0.1, "e": 0})

    assert [(one.action, one.context) for one in found.unsupported] == [("c", ""), ("d", "")]
    assert found.unsupported_share == pytest.approx(0.4)
    assert found.mean_weight.value == pytest.approx(0.6)
    assert not found.doubtful


def test_weights_are_cut_where_asked(run: Callable[..., OffPolicyEstimate]) -> None:
    found = run({"a": 0.9, "b": 0.1}, clip=1.5)

    assert found.clipped == 200
    assert found.estimates["IPS"].value == pytest.approx((1.5 * 0.75 + 0.2 * 0.25) / 2)
    assert found.mean_weight.value == pytest.approx(1)


def test_wrong_propensities_are_doubted(run: Callable[..., OffPolicyEstimate]) -> None:
    assert run({"a": 0.9, "b": 0.1}, {**LOG, "propensity": [0.4] * 400}).doubtful


def test_same_seed_gives_the_same_interval(run: Callable[..., OffPolicyEstimate]) -> None:
    target = {"a": 0.9, "b": 0.1}

    first, again, other = run(target), run(target), run(target, seed=1)

    assert first.estimates == again.estimates
    assert first.estimates["IPS"].low != other.estimates["IPS"].low


def test_both_intervals_are_about_the_same_estimate(run: Callable[..., OffPolicyEstimate]) -> None:
    target = {"a": 0.9, "b": 0.1}

    drawn, normal = run(target).estimates["IPS"], run(target, interval="normal").estimates["IPS"]

    assert drawn.value == pytest.approx(normal.value)
    assert drawn.low == pytest.approx(normal.low, rel=0.05)
