"""Raw queries: what a shopper would send, and for evaluation, what was bought then."""

import numpy as np
import pyarrow as pa

from tfrec.data.columns import Columns
from tfrec.data.events import USER
from tfrec.data.shard import Lists, Shard, View
from tfrec.data.splits import PARTS
from tfrec.features import FeatureSpec, Role, Vector

RELEVANT = "_relevant"
SEEN = "_seen"
LAST_TIME = "_last_time"


def query_table(shard: Shard, spec: FeatureSpec, columns: Columns, part: str) -> pa.Table:
    """One query for each shopper of a part, made at the first event that is looked for.

    Args:
      shard: events of whole shoppers.
      spec: the features.
      columns: where their values are.
      part: `validation` or `test`.

    Returns:
      Columns: `_user`; the raw features of roles user and context; `_relevant`, the item rows of
      the part's events that are looked for; `_seen`, those of such events that the query may see,
      once per event.
    """
    view, visits = shard.visits(part)
    rows = view.rows[visits]
    targets = np.flatnonzero((shard.parts == PARTS.index(part)) & shard.is_target)
    visible = np.setdiff1d(view.rows[shard.is_target[view.rows]], targets)
    return pa.table(
        {
            USER: shard.users.take(pa.array(rows)),
            **_features(view, visits, spec, columns, "user", "context"),
            RELEVANT: _items(shard, targets, shard.numbers[rows]),
            SEEN: _items(shard, visible, shard.numbers[rows]),
        }
    )


def profile_table(shard: Shard, spec: FeatureSpec, columns: Columns, gap: int) -> pa.Table:
    """Each shopper's raw features after the last event.

    Args:
      shard: events of whole shoppers.
      spec: the features.
      columns: where their values are.
      gap: silence in seconds after which a new session begins.

    Returns:
      Columns: `_user`, `_last_time` (int64 seconds since 1970) and the raw features of role user,
      as a query in a new session would see them.
    """
    last = np.r_[shard.user_starts[1:], len(shard)] - 1
    # A visit of its own after each shopper's last event sees all of them.
    rows = np.r_[np.arange(len(shard)), last]
    times = np.r_[shard.times, shard.times[last] + gap + 1]
    order = np.lexsort([times, shard.numbers[rows]])
    view = View(shard, rows[order], times[order], gap)
    visits = np.flatnonzero(order >= len(shard))
    return pa.table(
        {
            USER: shard.users.take(pa.array(last)),
            LAST_TIME: shard.times[last],
            **_features(view, visits, spec, columns, "user"),
        }
    )


def _features(
    view: View, places: np.ndarray, spec: FeatureSpec, columns: Columns, *roles: Role
) -> dict[str, pa.Array]:
    """Raw features of some of a view's events."""
    rows = pa.array(view.rows[places])
    features = {}
    for name in spec.of_role(*roles):
        sequence = spec.sequences.get(name)
        if sequence:
            features[name] = view.sequence(sequence, view.shard.value(sequence.of)).take(places)
        elif columns.places[name] == "behaviour":
            features[name] = pa.array(view.behaviour(name)[places], from_pandas=True)
        else:
            features[name] = view.shard.value(name).take(rows)
        feature = spec[name]
        if isinstance(feature, Vector):
            features[name] = features[name].fill_null([0.0] * feature.dim)
    return features


def _items(shard: Shard, rows: np.ndarray, users: np.ndarray) -> pa.ListArray:
    """Item rows of some events by shopper, for the shoppers asked for, in their order."""
    numbers = shard.numbers[rows]
    starts, ends = (np.searchsorted(numbers, users, side) for side in ("left", "right"))
    return Lists(pa.array(shard.item_rows[rows]), starts, ends).take(np.arange(len(users)))
