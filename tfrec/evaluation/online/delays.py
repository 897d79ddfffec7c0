"""What is too young to tell: conversions that have not had time to happen."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tfrec.errors import UserError


class NotGivenError(UserError):
    """A metric that the log cannot give."""


@dataclass(frozen=True)
class Followed:
    """Starts, such as clicks, and what followed within the window, such as orders.

    Attributes:
      happened: `[starts]` float64: how many starts with an effect each stands for.
      counted: `[starts]` float64, 1 where the start counts, else 0.
      left_out: starts that do not count.
    """

    happened: np.ndarray
    counted: np.ndarray
    left_out: int


def followed(
    delays: np.ndarray, ages: np.ndarray, window: int, late: Literal["exclude", "weight"]
) -> Followed:
    """Counts what followed within a window, without the bias of starts that are too young.

    With `exclude` only starts at least as old as the window count. With `weight` all do, and an
    effect seen after `d` seconds counts `1 / G(d)`, where `G(d)` is the share of starts at least
    that old, which are those on which it could have been seen. The mean is then unbiased if what
    happens, and when, does not depend on the moment of the start; it needs no form of the delays'
    distribution, such as the exponential one of Chapelle.

    Args:
      delays: `[starts]` seconds until the effect; infinite where there is none so far.
      ages: `[starts]` seconds from the start until the log's end.
      window: seconds within which an effect counts.
      late: `exclude` or `weight`.

    Returns:
      The counts.

    Raises:
      NotGivenError: if no start is as old as the window.

    Source: Chapelle, Modeling Delayed Feedback in Display Advertising, KDD 2014, for the problem;
    Koul, Susarla and Van Ryzin, Regression Analysis with Randomly Right-Censored Data, Annals of
    Statistics 1981, for the weights.
    """
    old = ages >= window
    if not old.any():
        oldest = f"the oldest is {_words(ages.max())}" if len(ages) else "there is none"
        raise NotGivenError(
            f"needs events at least {_words(window)} before the log's end, and {oldest}; shorten "
            "the window, or give a longer log"
        )
    seen = delays <= window
    if late == "exclude":
        return Followed((seen & old).astype(np.float64), old.astype(np.float64), int((~old).sum()))
    happened = np.zeros(len(delays))
    younger = np.searchsorted(np.sort(ages), delays[seen], side="left")
    happened[seen] = len(ages) / (len(ages) - younger)
    return Followed(happened, np.ones(len(delays)), 0)


def _words(seconds: float) -> str:
    units = ("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1)
    name, unit = next((unit for unit in units if seconds >= unit[1]), units[-1])
    return f"{seconds / unit:.3g} {name}"
