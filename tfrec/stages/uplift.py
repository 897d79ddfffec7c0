"""campaigns, coupons and purchases -> what campaigns change, for whom, and whom to send them."""

import json
import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from tfrec.errors import UserError
from tfrec.evaluation.online.event_log import utc_seconds
from tfrec.evaluation.online.ratio import Estimate, mean, normal, ratio
from tfrec.evaluation.promotions.campaign_log import Campaign, CampaignLog, read_campaigns
from tfrec.evaluation.promotions.campaign_rows import (
    SPENT,
    SPENT_ON_IT,
    CampaignRows,
    campaign_rows,
)
from tfrec.evaluation.promotions.config import Allocation, UpliftConfig
from tfrec.evaluation.uplift import AdjustedGains, CountedGains, RankerUplift, measure_uplift
from tfrec.models.effects import (
    LEARNERS,
    Nuisance,
    Observations,
    cross_fit,
    doubly_robust,
    imbalance,
)
from tfrec.service.allocation import allocate
from tfrec.stages.reporter import Reporter
from tfrec.stages.uplift_plot import draw_qini

UPLIFT, REDEMPTION, RANDOM = "uplift", "redemption", "random"
"""Rankers beside those by past spending: the model, the chance of a redemption, and none."""

UNITS = {"spend": "dollars a week", "buys": "probability"}


@dataclass(frozen=True)
class Part:
    """Campaigns, and what they change on average.

    Attributes:
      campaigns: their ids.
      pairs: shoppers beside campaigns.
      sent: how many of these got theirs.
      overlapping: how many could have been of either arm; the figures below are of these.
      unlike: how far the arms lie apart in the feature in which they do most, in standard
        deviations.
      unlike_weighted: the same when both are weighted to be like all; 0.1 is taken for alike.
      naive: the mean outcome of those who got it less that of the others.
      adjusted: the mean effect by the doubly robust values.
    """

    campaigns: tuple[str, ...]
    pairs: int
    sent: int
    overlapping: int
    unlike: float
    unlike_weighted: float
    naive: Estimate
    adjusted: Estimate


@dataclass(frozen=True)
class OneCampaign:
    """A held-out campaign by itself.

    Attributes:
      overlapping: shoppers who could have been of either arm; the figures are of these.
      sent: how many of them got it.
      adjusted: the mean effect by the doubly robust values.
      qini: the model's Qini coefficient.
    """

    overlapping: int
    sent: int
    adjusted: Estimate
    qini: Estimate


@dataclass(frozen=True)
class Sending:
    """Campaigns given to shoppers by one ranker's values under the budget.

    By lot, figures are the mean of 20 draws, in which pairs get theirs in turn, whatever they cost.

    Attributes:
      offers: how many are given.
      shoppers: to how many.
      cost: what that costs by the model of redemptions.
      gain: what it changes by the held-out campaigns' doubly robust values, in the outcome over the
        whole campaign.
    """

    offers: int
    shoppers: int
    cost: float
    gain: Estimate


@dataclass(frozen=True)
class Promise:
    """The allocation by uplift in the model's own eyes.

    Attributes:
      value: what the model says it changes.
      regret: the most that another allocation could change beyond that, by the model.
      price: what one more unit of the budget would change, about.
    """

    value: float
    regret: float
    price: float

    @property
    def regret_share(self) -> float:
        """The regret as a share of the value."""
        return self.regret / self.value if self.value else 0.0


@dataclass(frozen=True)
class UpliftResult:
    """What was found.

    Attributes:
      outcome: what was looked at.
      learned: the campaigns that models learned from.
      held_out: those they were tried on.
      rankers: ranker -> figures over all overlapping pairs of held-out campaigns; the first is the
        model.
      within: the same when every campaign is given to the same share of its shoppers.
      counted: as `rankers`, by counting the arms, as if they were random.
      campaigns: id -> figures of a held-out campaign, where there are overlapping pairs.
      sendings: ranker -> campaigns given by it; none without an allocation.
      promise: of the first of these.
      left_out: reason -> campaigns or rows that are not looked at.
    """

    outcome: str
    learned: Part
    held_out: Part
    rankers: dict[str, RankerUplift]
    within: dict[str, RankerUplift]
    counted: dict[str, RankerUplift]
    campaigns: dict[str, OneCampaign]
    sendings: dict[str, Sending]
    promise: Promise | None
    left_out: dict[str, int]


@dataclass(frozen=True)
class UpliftReport:
    """The directory of the results.

    Attributes:
      path: the directory.
    """

    path: Path

    @property
    def figures(self) -> Path:
        """All figures, as JSON."""
        return self.path / "uplift.json"

    @property
    def plot(self) -> Path:
        """The Qini curves."""
        return self.path / "qini.png"

    @property
    def pairs(self) -> Path:
        """Parquet table of the held-out campaigns' pairs with scores, and what is to be sent."""
        return self.path / "pairs.parquet"


def uplift(
    config: UpliftConfig, reporter: Reporter | None = None
) -> tuple[UpliftResult, UpliftReport]:
    """Learns what campaigns change from earlier ones and tries it on later ones.

    Who got a campaign was not drawn by lot. So effects are doubly robust, on pairs of shoppers and
    campaigns that could have been of either arm; the plain difference stands beside them. The
    values by which held-out campaigns are judged come from models of these campaigns alone, and
    each shopper's from models of other shoppers.

    Args:
      config: what to read and how.
      reporter: hears of progress.

    Returns:
      What was found, and the directory where it is written.

    Raises:
      UserError: if a source does not fit, or there is too little to learn from or to try on.
    """
    reporter = reporter or Reporter()
    reporter.stage("uplift")
    # Trees of so few rows are soon fitted; threads that share busy cores wait for each other.
    with threadpool_limits(1, user_api="openmp"):
        result, pairs = _learn(config, reporter)
    return result, _write(result, pairs, config.runs / config.name / "uplift")


def _learn(config: UpliftConfig, reporter: Reporter) -> tuple[UpliftResult, pa.Table]:
    """Finds the result, and the table of the held-out pairs."""
    reporter.step("reading purchases and campaigns")
    log = read_campaigns(config)
    left_out = dict(log.left_out)
    earlier, later = _divide(log, config, left_out)
    history, outcome = config.history, config.outcome
    learned = campaign_rows(log, earlier, history, outcome)
    tried = campaign_rows(log, later, history, outcome)
    reporter.step("fitting on earlier campaigns")
    nuisance, part = _adjust(learned, config)
    overlap = nuisance.overlap(config.overlap)
    learner = LEARNERS[config.learner](config.trees)
    learner.fit(learned.observations.only(overlap), nuisance.only(overlap))
    reporter.step("adjusting later campaigns")
    tried_nuisance, tried_part = _adjust(tried, config)
    trial = _Trial(
        log=log,
        rows=tried,
        nuisance=tried_nuisance,
        could=tried_nuisance.overlap(config.overlap),
        effects=doubly_robust(tried.observations, tried_nuisance),
        scores={
            UPLIFT: learner.predict(tried.observations.features),
            REDEMPTION: _redemption(learned, config, tried.observations.features),
            SPENT_ON_IT: tried.feature(SPENT_ON_IT),
            SPENT: tried.feature(SPENT),
            RANDOM: np.zeros(len(tried)),
        },
    )
    reporter.step("measuring")
    chosen, sendings, promise = _send(trial, config)
    rankers, within, counted = _measure(trial, config)
    result = UpliftResult(
        outcome=config.outcome,
        learned=part,
        held_out=tried_part,
        rankers=rankers,
        within=within,
        counted=counted,
        campaigns=_one_by_one(trial, config),
        sendings=sendings,
        promise=promise,
        left_out=left_out,
    )
    return result, _pairs(trial, chosen)


@dataclass(frozen=True)
class _Trial:
    """Held-out pairs, scored and judged.

    Attributes:
      log: what they are of.
      rows: the pairs.
      nuisance: of the pairs.
      could: `[rows]` bool: those that could have been of either arm.
      effects: `[rows]` doubly robust values.
      scores: ranker -> `[rows]`.
    """

    log: CampaignLog
    rows: CampaignRows
    nuisance: Nuisance
    could: np.ndarray
    effects: np.ndarray
    scores: Mapping[str, np.ndarray]


def _divide(
    log: CampaignLog, config: UpliftConfig, left_out: dict[str, int]
) -> tuple[tuple[Campaign, ...], tuple[Campaign, ...]]:
    """Campaigns to learn from and those to try on; counts the others."""
    border = utc_seconds(config.held_out)
    earlier, later = [], []
    for campaign in log.campaigns:
        shown = min(campaign.end, log.end) - campaign.start
        if campaign.start - config.history < log.begin:
            reason = "campaigns: began before there was enough history"
        elif shown < config.shortest:
            reason = "campaigns: too short in the log"
        elif campaign.sent.sum() < config.fewest:
            reason = f"campaigns: sent to fewer than {config.fewest}"
        elif campaign.start >= border:
            later.append(campaign)
            continue
        elif campaign.end <= border:
            earlier.append(campaign)
            continue
        else:
            reason = "campaigns: ran while the held-out ones began"
        left_out[reason] = left_out.get(reason, 0) + 1
    for what, found in (("ended by then", earlier), ("began from then on", later)):
        if not found:
            reasons = "; ".join(f"{reason}: {count}" for reason, count in left_out.items())
            raise UserError(
                f"held_out: {config.held_out:%Y-%m-%d}: no campaign {what}"
                f"{f' ({reasons})' if reasons else ''}; give a day between campaigns"
            )
    return tuple(earlier), tuple(later)


def _adjust(rows: CampaignRows, config: UpliftConfig) -> tuple[Nuisance, Part]:
    """Who is likely to be treated and what happens either way, and the mean effect by that."""
    observations = rows.observations
    nuisance = cross_fit(observations, config.trees, config.folds, config.seed)
    overlap = nuisance.overlap(config.overlap)
    if not 0 < (sent := int(observations.treated[overlap].sum())) < overlap.sum():
        raise UserError(
            f"overlap: {config.overlap:g}: {sent:,} of {int(overlap.sum()):,} pairs that could be "
            "of either arm got a campaign; lower it, or add campaigns"
        )
    effects = doubly_robust(observations, nuisance)[overlap]
    seen, chances = observations.only(overlap), nuisance.only(overlap).propensity
    part = Part(
        campaigns=tuple(one.name for one in rows.campaigns),
        pairs=len(rows),
        sent=int(observations.treated.sum()),
        overlapping=int(overlap.sum()),
        unlike=float(imbalance(seen).max()),
        unlike_weighted=float(imbalance(seen, chances).max()),
        naive=_difference(seen),
        adjusted=ratio(_by_shopper(seen.shoppers, effects), _by_shopper(seen.shoppers)),
    )
    return nuisance, part


def _difference(rows: Observations) -> Estimate:
    """The arms' difference; its error is that between shoppers."""
    value, values = 0.0, np.zeros(len(rows))
    for arm, sign in ((rows.treated, 1), (~rows.treated, -1)):
        level = rows.outcomes[arm].mean()
        value += sign * level
        values[arm] = sign * (rows.outcomes[arm] - level) / arm.sum()
    return normal(float(value), float(np.sqrt((_by_shopper(rows.shoppers, values) ** 2).sum())))


def _by_shopper(shoppers: np.ndarray, values: np.ndarray | None = None) -> np.ndarray:
    """Sums, or counts, of the shoppers that occur."""
    _, numbers = np.unique(shoppers, return_inverse=True)
    return np.bincount(numbers, values).astype(np.float64)


def _redemption(rows: CampaignRows, config: UpliftConfig, features: np.ndarray) -> np.ndarray:
    """The chance that a shopper who gets a campaign redeems a coupon of it."""
    sent = rows.observations.treated
    redeemed = rows.redeemed[sent]
    if redeemed.all() or not redeemed.any():
        return np.full(len(features), redeemed.mean())
    model = config.trees.classifier().fit(rows.observations.features[sent], redeemed)
    return model.predict_proba(features)[:, 1]


def _measure(trial: _Trial, config: UpliftConfig) -> Iterator[dict[str, RankerUplift]]:
    """Figures of all pairs, within campaigns, and by counting."""
    seen = trial.rows.observations.only(trial.could)
    known = {name: values[trial.could] for name, values in trial.scores.items()}
    within = {name: _ranks(values, seen.treatments) for name, values in known.items()}
    adjusted = AdjustedGains(trial.effects[trial.could])
    counted = CountedGains(seen.outcomes, seen.treated)
    for by, gains in ((known, adjusted), (within, adjusted), (known, counted)):
        yield measure_uplift(by, gains, seen.shoppers, config.resamples, config.seed)


def _one_by_one(trial: _Trial, config: UpliftConfig) -> dict[str, OneCampaign]:
    """Figures of each campaign by itself."""
    found, observed = {}, trial.rows.observations
    for place, campaign in enumerate(trial.rows.campaigns):
        of = trial.could & (observed.treatments == place)
        if not of.any():
            continue
        scores, effects = {UPLIFT: trial.scores[UPLIFT][of]}, trial.effects[of]
        gains, shoppers = AdjustedGains(effects), observed.shoppers[of]
        measured = measure_uplift(scores, gains, shoppers, config.resamples, config.seed)
        found[campaign.name] = OneCampaign(
            overlapping=int(of.sum()),
            sent=int(observed.treated[of].sum()),
            adjusted=mean(effects),
            qini=measured[UPLIFT].qini,
        )
    return found


def _ranks(scores: np.ndarray, campaigns: np.ndarray) -> np.ndarray:
    """A pair's place among those of its campaign, from 0 to 1; equal scores have equal places."""
    ranks = np.empty(len(scores))
    for campaign in np.unique(campaigns):
        of = campaigns == campaign
        ranks[of] = (rankdata(scores[of]) - 0.5) / of.sum()
    return ranks


def _send(
    trial: _Trial, config: UpliftConfig
) -> tuple[np.ndarray, dict[str, Sending], Promise | None]:
    """Gives the campaigns by each ranker; only pairs that could be of either arm, as only of these
    something is known.
    """
    rows, users = trial.rows, len(trial.log.users)
    chosen, promise = np.zeros(len(rows), bool), None
    sendings: dict[str, Sending] = {}
    if config.allocation is None:
        return chosen, sendings, promise

    def by_user(values: np.ndarray) -> np.ndarray:
        return values.reshape(-1, users).T  # [users, campaigns]

    lengths = rows.weeks if config.outcome == "spend" else np.ones(len(rows.campaigns))
    whole, could = np.repeat(lengths, users), by_user(trial.could)
    costs = by_user(_costs(trial.scores[REDEMPTION], config.allocation))
    effects = by_user(np.where(trial.could, trial.effects * whole, 0))
    for name, scores in trial.scores.items():
        if name == RANDOM:
            draws = _by_lot(could, costs, config.allocation, config.seed)
        else:
            worth = by_user(np.where(trial.could, scores * whole if name == UPLIFT else scores, 0))
            made = allocate(worth, costs, config.allocation.budget, config.allocation.each)
            draws = made.chosen[np.newaxis]
        if name == UPLIFT:
            promise, chosen = Promise(made.value, made.regret, made.price), made.chosen.T.ravel()
        sendings[name] = _sending(draws, costs, effects)
    return chosen, sendings, promise


_DRAWS = 20


def _by_lot(could: np.ndarray, costs: np.ndarray, allocation: Allocation, seed: int) -> np.ndarray:
    """Gives pairs in turn, in the order of lots, until the budget is used up.

    Returns:
      `[draws, users, campaigns]` bool.
    """
    random = np.random.default_rng(seed)
    draws = np.empty((_DRAWS, *could.shape), bool)
    for draw in draws:
        lots = np.where(could, random.random(could.shape), np.inf)
        allowed = could & (lots.argsort(axis=1).argsort(axis=1) < allocation.each)
        order = np.argsort(lots, axis=None)
        spent = np.where(allowed, costs, 0).ravel()[order].cumsum()
        draw.ravel()[order] = allowed.ravel()[order] & (spent <= allocation.budget)
    return draws


def _sending(draws: np.ndarray, costs: np.ndarray, effects: np.ndarray) -> Sending:
    """The mean of draws, `[draws, users, campaigns]` bool; the others are by user and campaign."""
    return Sending(
        offers=round(float(draws.sum(axis=(1, 2)).mean())),
        shoppers=round(float(draws.any(axis=2).sum(axis=1).mean())),
        cost=float(np.mean([costs[chosen].sum() for chosen in draws])),
        gain=_total((effects * draws.mean(axis=0)).sum(axis=1)),
    )


def _costs(redemption: np.ndarray, allocation: Allocation) -> np.ndarray:
    return allocation.sent_costs + allocation.redeemed_costs * redemption


def _total(values: np.ndarray) -> Estimate:
    """The sum of independent values, with its normal interval."""
    one, count = mean(values), len(values)
    return normal(one.value * count, one.standard_error * count)


def _pairs(trial: _Trial, chosen: np.ndarray) -> pa.Table:
    """A row for each shopper and held-out campaign."""
    observed = trial.rows.observations
    names = pa.array([campaign.name for campaign in trial.rows.campaigns])
    return pa.table(
        {
            "user": pa.array(trial.log.users).take(pa.array(observed.shoppers)),
            "campaign": names.take(pa.array(observed.treatments)),
            "sent": observed.treated,
            "outcome": observed.outcomes,
            "redeemed": trial.rows.redeemed,
            **{name: trial.scores[name] for name in (UPLIFT, REDEMPTION)},
            "propensity": trial.nuisance.propensity,
            "overlapping": trial.could,
            "effect": trial.effects,
            "to_send": chosen,
        }
    )


def _write(result: UpliftResult, table: pa.Table, target: Path) -> UpliftReport:
    """Writes a directory beside the target and renames it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    made = UpliftReport(Path(tempfile.mkdtemp(prefix=".uplift-", dir=target.parent)))
    made.path.chmod(0o755)
    made.figures.write_text(json.dumps(_figures(result), indent=2, allow_nan=False))
    pyarrow.parquet.write_table(table, made.pairs)
    panels = {"All pairs": result.rankers, "Within each campaign": result.within}
    draw_qini(panels, f"gain a pair, {UNITS[result.outcome]}").savefig(made.plot)
    shutil.rmtree(target, ignore_errors=True)
    made.path.rename(target)
    return UpliftReport(target)


def _figures(result: UpliftResult) -> dict[str, object]:
    """The result without the curves' points; what is no number is None, as JSON has no NaN."""
    content = asdict(result)
    for kind in ("rankers", "within", "counted"):
        for figures in content[kind].values():
            del figures["curve"]
    return _without_nan(content)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
