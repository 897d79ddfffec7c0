"""Dividing events into training, validation and test windows by time."""

from typing import NamedTuple

from tfrec.data.config import TimeSplit
from tfrec.errors import UserError


class Window(NamedTuple):
    """A stretch of time: from `start` on and before `end`, in seconds since 1970."""

    start: int
    end: int


def time_windows(config: TimeSplit, first: int, last: int) -> dict[str, Window]:
    """Cuts the log at two moments, counted back from its last event.

    Args:
      config: the `data.split` section.
      first: time of the first event, in seconds since 1970.
      last: time of the last event.

    Returns:
      The windows `train`, `validation` and `test`; together they hold every event once.

    Raises:
      UserError: if nothing is left to train on.
    """
    end = last + 1
    test = end - config.test
    validation = test - config.validation
    if validation <= first:
        days = (last - first) / 86_400
        raise UserError(
            f"data.split: validation and test take all {days:.1f} days of events; shorten them"
        )
    return {
        "train": Window(first, validation),
        "validation": Window(validation, test),
        "test": Window(test, end),
    }
