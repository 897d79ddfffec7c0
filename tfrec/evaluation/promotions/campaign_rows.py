"""Every shopper beside every campaign: what was known before, and what came of it."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tfrec.evaluation.promotions.campaign_log import Campaign, CampaignLog
from tfrec.models.effects import Observations

_WEEK_SECONDS, _DAY_SECONDS = 7 * 86_400, 86_400
SPENT, SPENT_ON_IT = "spent", "spent_on_campaign"
"""Names of features that rank shoppers without a model: money a week, on all and on its items."""


@dataclass(frozen=True)
class CampaignRows:
    """Shoppers beside campaigns.

    Attributes:
      observations: a row for each shopper and campaign; `treatments` are places in `campaigns`.
      names: of the features.
      campaigns: those that rows are of.
      weeks: `[campaigns]` how long the log shows them.
      redeemed: `[rows]` bool: whether a coupon of the campaign was redeemed.
    """

    observations: Observations
    names: tuple[str, ...]
    campaigns: tuple[Campaign, ...]
    weeks: np.ndarray
    redeemed: np.ndarray

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.observations)

    def feature(self, name: str) -> np.ndarray:
        """One feature of all rows: `[rows]` float64."""
        return self.observations.features[:, self.names.index(name)]

    def only(self, rows: np.ndarray) -> "CampaignRows":
        """Some of the rows, given as `[rows]` bool."""
        chosen = self.observations.only(rows)
        return replace(self, observations=chosen, redeemed=self.redeemed[rows])


def campaign_rows(
    log: CampaignLog,
    campaigns: tuple[Campaign, ...],
    history: int,
    outcome: Literal["spend", "buys"],
) -> CampaignRows:
    """Sets every shopper beside every campaign.

    Features are of the time before the campaign began. The outcome `spend` is money a week on the
    campaign's items while it runs, less the same of `history`; `buys` is whether there was any.

    Args:
      log: what was sent, redeemed and bought.
      campaigns: some of the log's, which its purchases cover.
      history: seconds before a campaign that purchases are looked at.
      outcome: which.
    """
    weeks = np.array([(min(one.end, log.end) - one.start) / _WEEK_SECONDS for one in campaigns])
    features, outcomes, redeemed = [], [], []
    for campaign, length in zip(campaigns, weeks, strict=True):
        before = _before(log, campaign, history)
        during = _spent(log, campaign, campaign.start, campaign.end) / length
        features.append(np.column_stack([*before.values(), log.profiles]))
        earlier = before[SPENT_ON_IT]
        outcomes.append(during - earlier if outcome == "spend" else (during > 0).astype(float))
        place = log.campaigns.index(campaign)
        counts = np.bincount(log.redeemed_by[log.redeemed == place], minlength=len(log.users))
        redeemed.append(counts > 0)
    users = len(log.users)
    observations = Observations(
        features=np.concatenate(features),
        treated=np.concatenate([one.sent for one in campaigns]),
        outcomes=np.concatenate(outcomes),
        shoppers=np.tile(np.arange(users), len(campaigns)),
        treatments=np.repeat(np.arange(len(campaigns)), users),
    )
    profiles = [f"profile_{number}" for number in range(log.profiles.shape[1])]
    names = (*before, *profiles)
    return CampaignRows(observations, names, campaigns, weeks, np.concatenate(redeemed))


def _before(log: CampaignLog, campaign: Campaign, history: int) -> dict[str, np.ndarray]:
    """What was known of the shoppers and the campaign when it began: `[users]` float64 each."""
    users, start = len(log.users), campaign.start
    begin = start - history
    period = slice(*np.searchsorted(log.bought_at, [begin, start]))
    until = slice(0, period.stop)
    weeks = history / _WEEK_SECONDS
    by, days = log.bought_by[period], log.bought_at[period] // _DAY_SECONDS
    trips = np.unique(np.stack([by, days]), axis=1)[0]
    last = np.full(users, -np.inf)
    last[log.bought_by[until]] = log.bought_at[until]  # ascending, so that the latest one stays
    earlier = log.redeemed_at < start
    past = [one for one in log.campaigns if one.start < start]
    running = [one for one in past if one.end > start]
    half = _spent(log, campaign, start - history // 2, start)
    known = {
        SPENT_ON_IT: _spent(log, campaign, begin, start) / weeks,
        "spent_on_campaign_lately": half / (weeks / 2),
        SPENT: np.bincount(by, log.paid[period], users) / weeks,
        "trips": np.bincount(trips, minlength=users) / weeks,
        "days_since_last": (start - last) / _DAY_SECONDS,
        "campaigns_before": _count(past, users),
        "campaigns_running": _count(running, users),
        "redemptions_before": np.bincount(log.redeemed_by[earlier], minlength=users),
        "campaign_items": np.full(users, campaign.items.sum()),
        "campaign_weeks": np.full(users, (campaign.end - start) / _WEEK_SECONDS),
        "campaign_kind": np.full(users, campaign.kind),
    }
    if log.taken_off is not None:
        known["taken_off"] = np.bincount(by, log.taken_off[period], users) / weeks
    return {
        name: np.where(np.isfinite(values), values, np.nan).astype(np.float64)
        for name, values in known.items()
    }


def _spent(log: CampaignLog, campaign: Campaign, start: int, end: int) -> np.ndarray:
    """Money that shoppers spent on a campaign's items: `[users]` float64."""
    period = slice(*np.searchsorted(log.bought_at, [start, end]))
    paid = np.where(campaign.items[log.bought[period]], log.paid[period], 0)
    return np.bincount(log.bought_by[period], paid, len(log.users))


def _count(campaigns: list[Campaign], users: int) -> np.ndarray:
    """How many of some campaigns each shopper got."""
    return np.sum([np.zeros(users), *(one.sent for one in campaigns)], axis=0)
