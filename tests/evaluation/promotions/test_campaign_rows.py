from typing import Literal

import numpy as np
import pytest

from tfrec.evaluation.promotions.campaign_log import Campaign, CampaignLog
from tfrec.evaluation.promotions.campaign_rows import SPENT, SPENT_ON_IT, campaign_rows

DAY, WEEK = 86_400, 7 * 86_400
USERS, ITEMS = 12, 6
HISTORY = 28 * DAY


def draw(seed: int) -> CampaignLog:
    """A log of 100 days; the last campaign goes on behind its end, and one shopper buys late."""
    random = np.random.default_rng(seed)
    times = np.sort(random.integers(0, 100 * DAY, 400))
    by = random.integers(0, USERS - 1, 400)
    by[-1] = USERS - 1
    campaigns = tuple(
        Campaign(
            f"c{number}",
            *(start * DAY, end * DAY, number % 2),
            *(random.random(ITEMS) < 0.5, random.random(USERS) < 0.5),
        )
        for number, (start, end) in enumerate([(30, 44), (40, 61), (90, 120)])
    )
    redeemed = random.integers(0, 3, 20)
    return CampaignLog(
        users=tuple(f"u{number}" for number in range(USERS)),
        campaigns=campaigns,
        bought_by=by,
        bought=random.integers(0, ITEMS, 400),
        bought_at=times,
        paid=random.uniform(0, 9, 400),
        taken_off=random.uniform(0, 1, 400),
        redeemed_by=random.integers(0, USERS, 20),
        redeemed=redeemed,
        redeemed_at=np.array([campaigns[number].start + DAY for number in redeemed]),
        profiles=random.uniform(0, 1, (USERS, 2)),
        left_out={},
    )


def spent(log: CampaignLog, user: int, campaign: Campaign | None, start: int, end: int) -> float:
    return sum(
        paid
        for by, item, at, paid in zip(
            log.bought_by, log.bought, log.bought_at, log.paid, strict=True
        )
        if by == user and start <= at < end and (campaign is None or campaign.items[item])
    )


@pytest.mark.parametrize("outcome", ["spend", "buys"])
def test_rows_are_those_of_a_plain_count(outcome: Literal["spend", "buys"]) -> None:
    log = draw(0)

    rows = campaign_rows(log, log.campaigns, HISTORY, outcome)

    assert len(rows) == 3 * USERS
    observed = rows.observations
    end = -(-(log.bought_at[-1] + 1) // DAY) * DAY
    for row, (user, place) in enumerate(zip(observed.shoppers, observed.treatments, strict=True)):
        campaign = log.campaigns[place]
        start = campaign.start
        before = spent(log, user, campaign, start - HISTORY, start) / 4
        weeks = (min(campaign.end, end) - start) / WEEK
        during = spent(log, user, campaign, start, campaign.end)
        expected = during / weeks - before if outcome == "spend" else float(during > 0)
        assert observed.outcomes[row] == pytest.approx(expected)
        assert rows.weeks[place] == pytest.approx(weeks)
        assert observed.treated[row] == campaign.sent[user]
        earlier = log.bought_at[(log.bought_by == user) & (log.bought_at < start)]
        recent = earlier[earlier >= start - HISTORY]
        known = {
            SPENT_ON_IT: before,
            "spent_on_campaign_lately": spent(log, user, campaign, start - HISTORY // 2, start) / 2,
            SPENT: spent(log, user, None, start - HISTORY, start) / 4,
            "trips": len(set((recent // DAY).tolist())) / 4,
            "days_since_last": (start - max(earlier)) / DAY if len(earlier) else np.nan,
            "campaigns_before": sum(one.sent[user] for one in log.campaigns if one.start < start),
            "campaigns_running": sum(
                one.sent[user] for one in log.campaigns if one.start < start < one.end
            ),
            "redemptions_before": ((log.redeemed_by == user) & (log.redeemed_at < start)).sum(),
            "campaign_items": campaign.items.sum(),
            "campaign_kind": campaign.kind,
        }
        for name, value in known.items():
            assert rows.feature(name)[row] == pytest.approx(value, nan_ok=True), name
        redeemed = ((log.redeemed_by == user) & (log.redeemed == place)).any()
        assert rows.redeemed[row] == redeemed


def test_nothing_of_the_campaigns_own_time_is_a_feature() -> None:
    log = draw(1)
    start = log.campaigns[1].start
    later = log.bought_at >= start
    log.paid[later] += 100
    changed = campaign_rows(log, log.campaigns[1:2], HISTORY, "spend")
    log.paid[later] -= 100

    first = campaign_rows(log, log.campaigns[1:2], HISTORY, "spend")

    np.testing.assert_allclose(first.observations.features, changed.observations.features)
    assert not np.allclose(first.observations.outcomes, changed.observations.outcomes)


def test_some_of_the_rows_are_rows() -> None:
    log = draw(2)
    rows = campaign_rows(log, log.campaigns[:1], HISTORY, "spend")
    sent = rows.observations.treated

    some = rows.only(sent)

    assert len(some) == sent.sum()
    np.testing.assert_array_equal(some.feature(SPENT), rows.feature(SPENT)[sent])
    np.testing.assert_array_equal(some.redeemed, rows.redeemed[sent])
