"""What is known of many shoppers at once, a shard of prepared data at a time."""

from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from tfrec.data.catalogue import ID, Catalogue
from tfrec.data.columns import BEHAVIOUR
from tfrec.data.config import DataConfig
from tfrec.data.events import TYPE, USER
from tfrec.data.prepared import PreparedData
from tfrec.data.profiles import calendar_features
from tfrec.data.queries import LAST_TIME
from tfrec.features.parsing import ITEM_ROW

_RECENCY, *_FREQUENCIES = BEHAVIOUR
_DAY_SECONDS = 86_400
_PROFILE, _EVENTS = "{:05d}-of-{:05d}.parquet", "events-{:05d}-of-{:05d}.parquet"


class KnownShoppers:
    """The shoppers of prepared data; `buckets_of` an id is the shard that holds all of them.

    Attributes:
      shards: number of shards, of which some may hold no shopper.
    """

    def __init__(self, data: PreparedData, config: DataConfig) -> None:
        """Takes prepared data, and the `data` section that they were made with."""
        self._data, self._config = data, config
        self.shards = int(next(data.profiles.glob("*.parquet")).stem.rpartition("-of-")[2])

    def users(self, shard: int) -> pa.Array:
        """The ids of a shard's shoppers: `[n]` strings."""
        return self._profiles(shard)[USER].combine_chunks()

    def find(self, shard: int, users: pa.Array, moment: datetime) -> tuple[pa.Table, np.ndarray]:
        """Finds raw features of a shard's shoppers; the same as `Profiles.find` for each.

        Args:
          shard: the shard.
          users: `[n]` ids that belong to it.
          moment: when they are asked for, with its zone.

        Returns:
          Columns of features of roles user and context, null where a shopper has no value:
          `[n]`; and whether there is a profile: `[n]`.
        """
        profiles = self._profiles(shard)
        places = pd.Index(profiles[USER].to_numpy()).get_indexer(users.to_numpy(False))
        is_known = places >= 0
        profile = profiles.take(pa.array(places, mask=~is_known))
        columns: dict[str, pa.Array] = {
            name: pa.repeat(pa.scalar(value), len(users))
            for name, value in calendar_features(moment).items()
        }
        for name in profile.column_names:
            if name not in (USER, LAST_TIME):
                columns[name] = profile[name].combine_chunks()
        if _RECENCY in columns:
            columns[_RECENCY] = _days_since(profile[LAST_TIME].combine_chunks(), moment)
        for name in _FREQUENCIES:
            if name in columns:
                columns[name] = pc.if_else(pa.array(is_known), columns[name], 0.0)
        return pa.table(columns), is_known

    def seen(self, shard: int, users: pa.Array) -> pa.ListArray:
        """Finds the items of a shard's shoppers, by the events that evaluation would look for.

        Args:
          shard: the shard.
          users: `[n]` distinct ids that belong to it.

        Returns:
          `[n]` lists of distinct item ids.
        """
        codes, rows = np.zeros(0, np.int64), np.zeros(0, np.int64)
        file = self._data.events / _EVENTS.format(shard, self.shards)
        if file.exists():
            events = pa.parquet.read_table(file, columns=[USER, ITEM_ROW, TYPE])
            events = events.filter(_counts(events[TYPE], self._config)).combine_chunks()
            codes = pd.Index(users.to_numpy(False)).get_indexer(events[USER].to_numpy())
            rows = events[ITEM_ROW].to_numpy()[codes >= 0]
            codes = codes[codes >= 0]
        pairs = np.unique(codes * len(self._ids) + rows)
        codes, rows = np.divmod(pairs, len(self._ids))
        offsets = np.searchsorted(codes, np.arange(len(users) + 1))
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), self._ids.take(rows))

    def _profiles(self, shard: int) -> pa.Table:
        file = self._data.profiles / _PROFILE.format(shard, self.shards)
        if file.exists():
            return pa.parquet.read_table(file)
        any_file = next(self._data.profiles.glob("*.parquet"))
        return pa.parquet.read_schema(any_file).empty_table()

    @cached_property
    def _ids(self) -> pa.Array:
        return Catalogue(self._data.catalogue).table[ID].combine_chunks()


def _days_since(last: pa.Array, moment: datetime) -> pa.Array:
    seconds = pc.subtract(moment.astimezone(timezone.utc).timestamp(), last.cast(pa.float64()))
    days = pc.divide(pc.max_element_wise(seconds, 0.0, skip_nulls=False), _DAY_SECONDS)
    return days.cast(pa.float32(), safe=False)


def _counts(types: pa.ChunkedArray, config: DataConfig) -> pa.ChunkedArray:
    """Whether events are of a type that counts, and of the targets if there are any."""
    weights: Mapping[str, float] = {
        name: weight for log in config.events for name, weight in log.weights.items()
    }
    ignored = pa.array([name for name, weight in weights.items() if not weight], pa.string())
    counting = pc.invert(pc.is_in(types, ignored))
    if config.targets:
        counting = pc.and_(counting, pc.is_in(types, pa.array(config.targets)))
    return counting
