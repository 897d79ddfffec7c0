"""Which of two rankings shoppers prefer, from the clicks on slates that both were dealt into."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from tfrec.errors import UserError
from tfrec.evaluation.online.attribution import delays
from tfrec.evaluation.online.config import OnlineConfig
from tfrec.evaluation.online.delays import NotGivenError, followed
from tfrec.evaluation.online.event_log import EventLog, Kind
from tfrec.evaluation.online.ratio import CONFIDENCE

NO_PREFERENCE = "no preference shown"


@dataclass(frozen=True)
class TeamCredit:
    """What one of the rankings got.

    Attributes:
      team: its name in the log.
      impressions: items that it chose.
      clicks: those that were clicked.
      shoppers: who clicked more of its items than of the other's.
    """

    team: str
    impressions: int
    clicks: int
    shoppers: int


@dataclass(frozen=True)
class Preference:
    """What interleaving says.

    Attributes:
      teams: the two rankings, by name.
      undecided: shoppers who clicked as many of both, but some.
      share: of the shoppers who prefer one, the share who prefer the first; NaN without any.
      low: lower end of the share's exact 95 % interval.
      high: upper end.
      p_value: chance of a share as far from a half if shoppers prefer neither.
      left_out: reason -> what does not count.
    """

    teams: tuple[TeamCredit, TeamCredit]
    undecided: int
    share: float
    low: float
    high: float
    p_value: float
    left_out: dict[str, int]

    @property
    def verdict(self) -> str:
        """The team that shoppers prefer, or that none is shown to be."""
        if not self.p_value <= 1 - CONFIDENCE:
            return NO_PREFERENCE
        return self.teams[0 if self.share > 0.5 else 1].team


def read_preference(log: EventLog, config: OnlineConfig) -> Preference:
    """Compares two rankings by the sign test over shoppers, who are independent of each other.

    Args:
      log: the events; the arm of an impression is the team that chose its item.
      config: how soon a click follows.

    Raises:
      UserError: if the impressions are not of two teams.

    Source: Radlinski, Kurup and Joachims, How Does Clickthrough Data Reflect Retrieval Quality?,
    CIKM 2008.
    """
    shown = log.kinds == Kind.IMPRESSION
    arms = np.full(int(shown.sum()), -1) if log.arms is None else log.arms[shown]
    teams = sorted(log.arm_names[arm] for arm in np.unique(arms[arms >= 0]))
    if len(teams) != 2:
        raise UserError(
            f"events.arm: impressions are of {len(teams)} teams: {', '.join(teams) or 'none'}; "
            "name the column of the team, and in experiment the test that interleaves two"
        )
    waited = delays(log, shown, log.kinds == Kind.CLICK, config.click_within)
    try:
        counts = followed(waited, log.as_of - log.times[shown], config.click_within, "exclude")
    except NotGivenError as error:
        raise UserError(f"click_within: {error}") from None
    rows, clicks, credits = np.flatnonzero(shown), [], []
    for team in teams:
        own = arms == log.arm_names.index(team)
        clicks.append(log.per_user(rows[own], counts.happened[own]))
        credits.append((team, int(counts.counted[own].sum()), int(clicks[-1].sum())))
    return _compare(credits, clicks[0], clicks[1], _left_out(log, counts.left_out))


def _left_out(log: EventLog, young: int) -> dict[str, int]:
    return {**log.left_out, **({"impressions too young": young} if young else {})}


def _compare(
    credits: list[tuple[str, int, int]],
    first: np.ndarray,
    second: np.ndarray,
    left_out: dict[str, int],
) -> Preference:
    """Compares `[users]` clicks on what one team chose with those on what the other did."""
    wins = int((first > second).sum()), int((second > first).sum())
    one, other = (TeamCredit(*credit, won) for credit, won in zip(credits, wins, strict=True))
    undecided = int(((first == second) & (first > 0)).sum())
    return Preference((one, other), undecided, *_sign_test(*wins), left_out)


def _sign_test(first: int, second: int) -> tuple[float, float, float, float]:
    if not first + second:
        return np.nan, np.nan, np.nan, np.nan
    test = binomtest(first, first + second)
    interval = test.proportion_ci(CONFIDENCE, "exact")
    return first / (first + second), interval.low, interval.high, test.pvalue
