"""Raw queries: what a shopper would send, and for evaluation, what was bought then."""

import numpy as np
import pyarrow as pa

from tfrec.data.events import USER
from tfrec.data.shard import Shard, lists
from tfrec.data.split import Window
from tfrec.features import FeatureSpec

RELEVANT = "_relevant"
SEEN = "_seen"


def query_table(shard: Shard, spec: FeatureSpec, window: Window) -> pa.Table:
    """One query for each shopper seen in a window, made at the first visit in it.

    Args:
      shard: events of whole shoppers.
      spec: the features.
      window: the stretch of time.

    Returns:
      Columns: `_user`; the raw features of roles user and context; `_relevant`, the item rows of
      the shopper's events in the window; `_seen`, those of the events before it, once per event.
    """
    rows = shard.in_window(window)
    users = np.searchsorted(shard.user_starts, rows, side="right") - 1
    present, first = np.unique(users, return_index=True)
    ends = np.r_[first[1:], len(rows)]
    visits = rows[first]
    bought = shard.item_rows.take(pa.array(rows))
    columns = {
        USER: shard.users.take(pa.array(visits)),
        **_categories(shard, spec, ["user", "context"], visits),
        **_sequences(shard, spec, visits),
        RELEVANT: lists(bought, first, ends),
        SEEN: lists(shard.item_rows, shard.user_starts[present], visits),
    }
    return pa.table(columns)


def profile_table(shard: Shard, spec: FeatureSpec) -> pa.Table:
    """Each shopper's raw features after the last event.

    Args:
      shard: events of whole shoppers.
      spec: the features.

    Returns:
      Columns: `_user` and the raw features of role user.
    """
    ends = np.r_[shard.user_starts[1:], len(shard.times)]
    columns = {
        USER: shard.users.take(pa.array(ends - 1)),
        **_categories(shard, spec, ["user"], ends - 1),
    }
    for name, sequence in spec.sequences.items():
        starts = np.maximum(shard.user_starts, ends - sequence.last)
        columns[name] = lists(shard.raw[sequence.of], starts, ends)
    return pa.table(columns)


def _categories(
    shard: Shard, spec: FeatureSpec, roles: list[str], rows: np.ndarray
) -> dict[str, pa.Array]:
    names = [name for name, feature in spec.categories.items() if feature.role in roles]
    return {name: shard.raw[name].take(pa.array(rows)) for name in names}


def _sequences(shard: Shard, spec: FeatureSpec, rows: np.ndarray) -> dict[str, pa.Array]:
    columns = {}
    for name, sequence in spec.sequences.items():
        starts, ends = shard.history(sequence.last)
        columns[name] = lists(shard.raw[sequence.of], starts[rows], ends[rows])
    return columns
