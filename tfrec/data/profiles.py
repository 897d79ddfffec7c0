"""What is known of a shopper when a query names nothing but the id."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from tfrec.data.columns import CALENDAR
from tfrec.data.events import USER


class Profiles:
    """Raw features of every shopper after the last event, as preparation left them."""

    def __init__(self, folder: Path) -> None:
        """Names the directory of profiles; it is read at each look-up."""
        self._folder = folder

    def find(self, user: str) -> dict[str, Any]:
        """Finds a shopper's raw features.

        Args:
          user: the shopper's id.

        Returns:
          Feature -> string or list of strings; empty for a shopper never seen.
        """
        table = pa.parquet.read_table(self._folder, filters=[(USER, "=", user)])
        return table.drop([USER]).to_pylist()[0] if table.num_rows else {}


def calendar_features(moment: datetime) -> dict[str, str]:
    """The context features that a moment gives, as preparation writes them."""
    return {name: moment.strftime(pattern) for name, pattern in CALENDAR.items()}
