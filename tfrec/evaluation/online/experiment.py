"""Reading a randomised test: how each arm differs from the control, and whether it may be told."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from tfrec.errors import UserError
from tfrec.evaluation.online.config import Arms, OnlineConfig
from tfrec.evaluation.online.cuped import adjust
from tfrec.evaluation.online.event_log import EventLog, utc_seconds
from tfrec.evaluation.online.measures import MEASURES, Sums, measure_log
from tfrec.evaluation.online.ratio import CONFIDENCE, Estimate, linearise, mean, normal
from tfrec.evaluation.online.sample_ratio import SampleRatio, sample_ratio

BETTER, WORSE, NO_DIFFERENCE = "better", "worse", "no difference shown"
MISMATCH = "none: sample ratio mismatch"
TOO_FEW = "none: too few shoppers"


@dataclass(frozen=True)
class Contrast:
    """An arm beside the control, on one metric.

    Attributes:
      metric: its name.
      arm: the arm.
      control: the control's figure.
      treatment: the arm's figure.
      difference: the arm's less the control's.
      lift: the difference as a share of the control's figure.
      p_value: chance of a difference as large between arms that are alike.
      verdict: `BETTER`, `WORSE`, `NO_DIFFERENCE`, or why there is none.
    """

    metric: str
    arm: str
    control: Estimate
    treatment: Estimate
    difference: Estimate
    lift: Estimate
    p_value: float
    verdict: str


@dataclass(frozen=True)
class Readout:
    """What a test says.

    Attributes:
      sample_ratio: whether the arms have the shoppers they were to have.
      contrasts: metric by metric, each arm but the control.
      left_out: reason -> what does not count; a metric's own reasons begin with its name.
      not_given: metric -> why the log cannot give it.
      adjusted: metrics that the time before the test made narrower.
    """

    sample_ratio: SampleRatio
    contrasts: tuple[Contrast, ...]
    left_out: dict[str, int]
    not_given: dict[str, str]
    adjusted: tuple[str, ...]


def read_experiment(log: EventLog, config: OnlineConfig) -> Readout:
    """Compares the arms of a test.

    Shoppers are the units that were divided, so a shopper seen in several arms, or in none, is
    left out whole.

    Args:
      log: the events.
      config: what to measure, with `arms`.

    Returns:
      The comparison. No arm is called better or worse if the sample ratio is not the split's.

    Raises:
      UserError: if the config or the log has no arms, or an arm no shoppers.
    """
    if config.arms is None or log.arms is None:
        lacking = "arms" if config.arms is None else "events.arm"
        raise UserError(f"{lacking}: missing; say which arms there are, and which column has them")
    during, before = _divide(log, config.arms)
    arm_of, left_out = _arm_of_users(during)
    names = during.arm_names
    counts = np.bincount(arm_of[arm_of >= 0], minlength=len(names))
    present = {name: int(count) for name, count in zip(names, counts, strict=True) if count}
    ratio = sample_ratio(present, config.arms.split)
    found, not_given = measure_log(during, config)
    earlier = _covariates(before, config, [*found])
    chosen = {arm: arm_of == names.index(arm) for arm in config.arms.split}
    contrasts = [
        contrast
        for name, sums in found.items()
        for contrast in _contrast(name, sums, earlier.get(name), chosen, config.arms, ratio)
    ]
    reasons = {
        f"{name}: {reason}": count
        for name, sums in found.items()
        for reason, count in sums.left_out.items()
    }
    left_out = {**log.left_out, **left_out, **reasons}
    return Readout(ratio, tuple(contrasts), left_out, not_given, tuple(earlier))


def _divide(log: EventLog, arms: Arms) -> tuple[EventLog, EventLog | None]:
    """The events of the test, and those before it."""
    if arms.start is None:
        return log, None
    start = utc_seconds(arms.start)
    during = log.times >= start
    if not during.any():
        raise UserError(f"arms.start: {arms.start}: the log has no event from then on")
    before = None if during.all() else log.only(~during, as_of=start)
    return log.only(during), before


def _arm_of_users(log: EventLog) -> tuple[np.ndarray, dict[str, int]]:
    """Each shopper's arm, `[users]`, -1 for one who is left out; and how many are."""
    assert log.arms is not None
    assigned = log.arms >= 0
    pairs = np.unique(np.stack([log.users[assigned], log.arms[assigned]]), axis=1)
    arms = np.bincount(pairs[0], minlength=log.user_count)
    arm_of = np.full(log.user_count, -1)
    arm_of[pairs[0]] = pairs[1]
    arm_of[arms > 1] = -1
    seen = np.bincount(log.users, minlength=log.user_count) > 0
    counts = {
        "shoppers in several arms": int((arms > 1).sum()),
        "shoppers in no arm": int((seen & (arms == 0)).sum()),
    }
    return arm_of, {reason: count for reason, count in counts.items() if count}


def _covariates(
    before: EventLog | None, config: OnlineConfig, metrics: list[str]
) -> dict[str, np.ndarray]:
    """Each metric's values before the test, `[users]`, where the log gives them."""
    if before is None:
        return {}
    found, _ = measure_log(before, config.model_copy(update={"metrics": ()}))
    return {
        name: linearise(found[name].numerators, found[name].denominators)
        for name in metrics
        if name in found
    }


def _contrast(
    metric: str,
    sums: Sums,
    covariate: np.ndarray | None,
    chosen: dict[str, np.ndarray],
    arms: Arms,
    ratio: SampleRatio,
) -> list[Contrast]:
    values = {
        arm: linearise(sums.numerators[users], sums.denominators[users])
        for arm, users in chosen.items()
    }
    if covariate is not None and all(np.isfinite(value).all() for value in values.values()):
        adjusted = adjust([*values.values()], [covariate[users] for users in chosen.values()])
        values = dict(zip(values, adjusted, strict=True))
    figures = {arm: mean(value) for arm, value in values.items()}
    control = figures.pop(arms.control)
    return [_compare(metric, arm, control, figure, ratio) for arm, figure in figures.items()]


def _compare(
    metric: str, arm: str, control: Estimate, treatment: Estimate, ratio: SampleRatio
) -> Contrast:
    error = float(np.hypot(control.standard_error, treatment.standard_error))
    difference = normal(treatment.value - control.value, error)
    p_value = float(2 * norm.sf(abs(difference.value) / error)) if error > 0 else np.nan
    verdict = _verdict(metric, difference.value, p_value, ratio)
    lift = _lift(control, treatment)
    return Contrast(metric, arm, control, treatment, difference, lift, p_value, verdict)


def _lift(control: Estimate, treatment: Estimate) -> Estimate:
    """The relative difference, by the delta method for a ratio of independent figures."""
    if not control.value > 0:
        return normal(np.nan, np.nan)
    times = treatment.value / control.value
    error = np.hypot(treatment.standard_error, times * control.standard_error) / control.value
    return normal(times - 1, float(error))


def _verdict(metric: str, difference: float, p_value: float, ratio: SampleRatio) -> str:
    if ratio.mismatch:
        return MISMATCH
    if np.isnan(p_value):
        return TOO_FEW
    if p_value > 1 - CONFIDENCE:
        return NO_DIFFERENCE
    return BETTER if (difference > 0) != MEASURES[metric].lower_is_better else WORSE
