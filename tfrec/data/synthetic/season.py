"""How a shop's demand varies over the year, the week and the day."""

import datetime

import numpy as np

from tfrec.data.synthetic.config import Season
from tfrec.data.synthetic.draws import DAY_SECONDS

_HOURS = np.arange(25)
_THURSDAY = 3  # 1970-01-01, day 0; Monday is 0


def midnight(day: datetime.date) -> int:
    """Seconds from 1970 to the beginning of a day."""
    return (day - datetime.date(1970, 1, 1)).days * DAY_SECONDS


def day_weights(season: Season, start: datetime.date, days: int) -> np.ndarray:
    """Weighs days: `(weekend if Saturday or Sunday else 1) * (1 + sum of the holidays' bells)`.

    A holiday's bell is `holiday_lift * exp(-(days to the holiday / holiday_width) ** 2 / 2)`.

    Args:
      season: the shop's season.
      start: the first day.
      days: how many.

    Returns:
      `[days]` float64; a common working day weighs 1.
    """
    dates = midnight(start) // DAY_SECONDS + np.arange(days)
    weekend = (dates + _THURSDAY) % 7 >= 5
    years = range(start.year - 1, (start + datetime.timedelta(days)).year + 2)
    peaks = [
        midnight(datetime.date.fromisoformat(f"{year:04d}-{day}")) // DAY_SECONDS
        for year in years
        for day in season.holidays
    ]
    bells = np.ones(days)
    for peak in peaks:
        bells += season.holiday_lift * np.exp(-(((dates - peak) / season.holiday_width) ** 2) / 2)
    return np.where(weekend, season.weekend, 1.0) * bells


def time_of_day(season: Season, share: np.ndarray) -> np.ndarray:
    """Finds the second of the day by which a share of the day's sessions has begun.

    An hour weighs `1 + daily_swing * cos(2 pi (hour - peak_hour) / 24)`; within it all seconds
    are alike.

    Args:
      season: the shop's season.
      share: `[n]` in [0, 1].

    Returns:
      `[n]` float64 seconds since midnight.
    """
    weights = 1 + season.daily_swing * np.cos(2 * np.pi * (_HOURS[:24] - season.peak_hour) / 24)
    begun = np.r_[0.0, np.cumsum(weights)] / weights.sum()
    return np.interp(share, begun, _HOURS * 3600.0)


def portions(total: int, weights: np.ndarray) -> np.ndarray:
    """Divides a whole number in proportion to weights: `[n]` int64 that add up to `total`."""
    ends = np.round(total * (np.cumsum(weights) / np.sum(weights))).astype(np.int64)
    return np.diff(ends, prepend=0)
