"""Estimates from one policy's real log, beside what the other policy really got."""

from pathlib import Path

import pytest

from tfrec.config import override, read_yaml, validate
from tfrec.data import datasets
from tfrec.errors import UserError
from tfrec.evaluation.online.off_policy_config import OffPolicyConfig
from tfrec.evaluation.online.off_policy_estimate import OffPolicyEstimate, estimate
from tfrec.evaluation.online.rounds import read_rounds

CONFIG = Path(__file__).parents[2] / "configs" / "open_bandit.yaml"
CAMPAIGNS = {"all": 0.0042, "men": 0.0069, "women": 0.0046}
"""Campaign -> clicks of bernoulli_ts on its 10,000 impressions."""


@pytest.fixture(scope="module", autouse=True)
def fetched() -> None:
    """The log, in the user's cache."""
    try:
        datasets.fetch("open_bandit", "impressions")
    except UserError as error:
        pytest.skip(str(error))


def run(**changes: str) -> OffPolicyEstimate:
    """Estimates as the example config says."""
    dotted = {name.replace("__", "."): value for name, value in changes.items()}
    config = validate(OffPolicyConfig, override(read_yaml(CONFIG), dotted))
    return estimate(read_rounds(config), config)


def check(found: OffPolicyEstimate, truth: float) -> None:
    assert found.measured is not None
    assert found.measured.value == pytest.approx(truth)
    assert [*found.estimates] == ["IPS", "SNIPS", "DR"]
    for figure in found.estimates.values():
        assert figure.low <= truth <= figure.high
    assert found.effective_rows > 0.25 * found.rows
    assert not found.unsupported
    assert not found.doubtful


@pytest.mark.parametrize("interval", ["normal", "bootstrap"])
@pytest.mark.parametrize("campaign", CAMPAIGNS)
def test_random_policys_log_predicts_the_clicks_of_the_other_one(
    campaign: str, interval: str
) -> None:
    found = run(log__where__campaign=campaign, target__where__campaign=campaign, interval=interval)

    assert found.rows == 10_000
    check(found, CAMPAIGNS[campaign])


def test_campaigns_together_tell_more() -> None:
    found = run()

    assert found.rows == 30_000
    check(found, 0.0157 / 3)
    half_widths = [(figure.high - figure.low) / 2 for figure in found.estimates.values()]
    assert max(half_widths) < 0.3 * 0.0157 / 3


def test_log_that_cannot_tell_says_so() -> None:
    found = run(log__where__policy="bernoulli_ts", target__where__policy="random")

    assert found.effective_rows < 100
    assert [one.action for one in found.unsupported] == ["all/77"]
