"""What is known of a shopper when a query names nothing but the id."""

import functools
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from tfrec.data.columns import BEHAVIOUR, CALENDAR
from tfrec.data.events import USER
from tfrec.data.queries import LAST_TIME

_RECENCY, *_FREQUENCIES = BEHAVIOUR
_DAY_SECONDS = 86_400


class Profiles:
    """Raw features of every shopper after the last event, as preparation left them."""

    def __init__(self, folder: Path) -> None:
        """Names the directory of profiles; it is read into memory at the first look-up."""
        self._folder = folder

    def find(self, user: str, moment: datetime | None = None) -> dict[str, Any]:
        """Finds a shopper's raw features.

        Args:
          user: the shopper's id.
          moment: when they are asked for, in UTC where it names no zone; now by default.

        Returns:
          Feature -> string, number or list of either, None where the shopper has no value. The
          days since the last visit are those at `moment`, and 0 before that visit. Of a shopper
          never seen it is only known that all frequencies are 0.
        """
        if user not in self._places:
            return dict.fromkeys(_FREQUENCIES, 0.0)
        profile = self._table.slice(self._places.get_loc(user), 1).drop([USER]).to_pylist()[0]
        last = profile.pop(LAST_TIME)
        if _RECENCY in profile:
            profile[_RECENCY] = max(_utc(moment).timestamp() - last, 0) / _DAY_SECONDS
        return profile

    @functools.cached_property
    def _table(self) -> pa.Table:
        return pa.parquet.read_table(self._folder).combine_chunks()

    @functools.cached_property
    def _places(self) -> pd.Index:
        return pd.Index(self._table[USER].to_numpy())


def calendar_features(moment: datetime | None = None) -> dict[str, str]:
    """The context features that a moment gives, as preparation writes them.

    Args:
      moment: in UTC where it names no zone; now by default.

    Returns:
      Feature -> its raw value.
    """
    utc = _utc(moment)
    return {name: utc.strftime(pattern) for name, pattern in CALENDAR.items()}


def _utc(moment: datetime | None) -> datetime:
    if moment is None:
        return datetime.now(timezone.utc)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc)
