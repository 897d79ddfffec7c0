"""The states of all shoppers of a file of cleaned events."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from tfrec.data.history import earlier_among, expand
from tfrec.data.sessions import session_numbers
from tfrec.data.shard import Shard
from tfrec.features import FeatureSpec
from tfrec.service.shopper_state import MOST_SESSIONS, PushedState, ShopperState


def pushed_states(shard: Shard, spec: FeatureSpec, item: str, gap: int) -> Iterator[PushedState]:
    """Makes the states that taking the events one by one would make.

    Args:
      shard: events of whole shoppers.
      spec: the features.
      item: name of the feature that is the item's id.
      gap: silence in seconds after which a new session begins.

    Yields:
      A state for each shopper, in the order of the file.
    """
    starts = shard.user_starts
    ends = np.r_[starts[1:], len(shard)].astype(np.int64)
    users = shard.users.take(pa.array(starts)).to_pylist()
    times = shard.times.tolist()
    counts = _counts(shard)
    sessions, first_sessions = _sessions(shard, gap)
    sequences = {
        name: _latest(shard, feature.types, feature.of, feature.last, starts, ends)
        for name, feature in spec.sequences.items()
    }
    hidden = _latest(shard, ("hide",), item, len(shard), starts, ends)
    profile = {
        name: shard.value(name).take(pa.array(ends - 1)).to_pylist()
        for name in spec.of_role("user")
        if name not in sequences and shard.columns.places[name] in ("event", "calendar")
    }
    for row, user in enumerate(users):
        ours = sessions[first_sessions[row] : first_sessions[row + 1]]
        last = times[ends[row] - 1]
        state = ShopperState(
            last=last,
            known_until=last,
            counts=counts[row],
            older_sessions=max(len(ours) - MOST_SESSIONS, 0),
            sessions=ours[-MOST_SESSIONS:],
            sequences={name: found for name, lists in sequences.items() if (found := lists[row])},
            profile={name: column[row] for name, column in profile.items()},
        )
        hides = dict.fromkeys(value for _, value in hidden[row])
        yield PushedState(user, times[starts[row]], state, list(hides))


def _counts(shard: Shard) -> list[dict[str, int]]:
    """Events of each shopper by type; those without one are counted under no name."""
    types = shard.types.dictionary_encode()
    names = [*types.dictionary.to_pylist(), ""]
    codes = types.indices.fill_null(len(names) - 1).to_numpy().astype(np.int64)
    pairs = shard.numbers * len(names) + codes
    table = np.bincount(pairs, minlength=len(shard.user_starts) * len(names))
    by_user = table.reshape(-1, len(names)).tolist()
    return [
        {name: count for name, count in zip(names, row, strict=True) if count} for row in by_user
    ]


def _sessions(shard: Shard, gap: int) -> tuple[list[list[int]], np.ndarray]:
    """First and last times of all sessions, and where each shopper's begin among them."""
    numbers = session_numbers(shard.numbers, shard.times, gap)
    begins = np.flatnonzero(np.r_[True, np.diff(numbers) != 0][: len(shard)])
    begins = np.union1d(begins, shard.user_starts)
    ends = np.r_[begins[1:], len(shard)] - 1
    pairs = np.c_[shard.times[begins], shard.times[ends]].tolist()
    return pairs, np.r_[np.searchsorted(begins, shard.user_starts), len(begins)]


def _latest(
    shard: Shard, types: tuple[str, ...], of: str, last: int, starts: np.ndarray, ends: np.ndarray
) -> list[list[list[Any]]]:
    """Times and values of each shopper's latest events of some types."""
    chosen = shard.is_type(types)
    members, offsets = expand(*earlier_among(chosen, starts, ends, last))
    events = np.flatnonzero(chosen)[members]
    values = shard.value(of).take(pa.array(events)).to_pylist()
    pairs = [list(pair) for pair in zip(shard.times[events].tolist(), values, strict=True)]
    return [pairs[start:end] for start, end in pairwise(offsets)]
