"""The feature store in Redis: for several replicas of the service."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import orjson
import redis

from tfrec.service.events import ANONYMOUS
from tfrec.service.feature_store import REMEMBER_SECONDS, FeatureStore, Put, Record, StoreError
from tfrec.service.online_features import OnlineFeatures
from tfrec.service.shopper_state import Change, PushedState, ShopperState

_TIMEOUT_SECONDS = 2.0
_TOGETHER = 500
_MOST_TRIES = 100

_PUT = """
local version = redis.call('HGET', KEYS[1], 'version') or '0'
if version ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', version + 1, 'last', ARGV[2], 'state', ARGV[3],
           'hidden', ARGV[4])
for place = 8, #ARGV do redis.call('ZADD', KEYS[2], ARGV[5], ARGV[place]) end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[5] - ARGV[6])
redis.call('EXPIRE', KEYS[2], ARGV[6])
if ARGV[7] == '1' then redis.call('EXPIRE', KEYS[1], ARGV[6]) end
return 1
"""
_PUSH = """
local last = redis.call('HGET', KEYS[1], 'last')
if last and last ~= '' and tonumber(last) > tonumber(ARGV[1]) then
  local state = cjson.decode(redis.call('HGET', KEYS[1], 'state'))
  return state['known_until'] == cjson.null and 2 or 0
end
redis.call('HSET', KEYS[1], 'last', ARGV[1], 'state', ARGV[2])
redis.call('HSETNX', KEYS[1], 'hidden', ARGV[3])
redis.call('HINCRBY', KEYS[1], 'version', 1)
if ARGV[4] ~= '' and redis.call('TTL', KEYS[1]) < 0 then
  redis.call('EXPIREAT', KEYS[1], ARGV[4])
end
return 1
"""
_IS_PUT, _IS_PARTIAL = 1, 2
_MOVE = """
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


class RedisStore(FeatureStore):
    """Shoppers' states in Redis, which all replicas share.

    A shopper is a hash, with a sorted set of the keys of events that were taken beside it. A script
    writes a shopper only if nobody else has done so since it was read; otherwise it is read anew.
    """

    def __init__(self, url: str, online: OnlineFeatures, prefix: str = "tfrec") -> None:
        """Connects when it is first asked.

        Args:
          url: `redis://HOST:PORT/DATABASE`.
          online: what events change.
          prefix: of all keys.
        """
        super().__init__(online)
        self._redis = redis.Redis.from_url(
            url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
        )
        self._prefix = prefix
        self._put = self._redis.register_script(_PUT)
        self._push = self._redis.register_script(_PUSH)
        self._move = self._redis.register_script(_MOVE)

    def push(self, states: Iterable[PushedState]) -> Put:
        """See `FeatureStore.push`."""
        became, all_states = Counter[int](), list(states)
        for start in range(0, len(all_states), _TOGETHER):
            with self._errors():
                pipeline = self._redis.pipeline(transaction=False)
                for one in all_states[start : start + _TOGETHER]:
                    assert one.state.last is not None
                    content = one.state.last, one.state.to_bytes(), orjson.dumps(one.hidden)
                    fades = one.user.startswith(ANONYMOUS)
                    until = one.state.last + REMEMBER_SECONDS if fades else ""
                    self._push([self._shopper(one.user)], [*content, until], client=pipeline)
                became.update(pipeline.execute())
        return Put(became[_IS_PUT], became[_IS_PARTIAL])

    def erase(self, user: str) -> bool:
        """See `FeatureStore.erase`."""
        with self._errors():
            gone = self._redis.delete(self._shopper(user), self._applied(user))
        return gone > 0  # type: ignore[operator]

    def mark(self, name: str) -> str | None:
        """See `FeatureStore.mark`."""
        with self._errors():
            found: Any = self._redis.hget(self._marks, name)
        return None if found is None else found.decode()

    def set_mark(self, name: str, value: str) -> None:
        """See `FeatureStore.set_mark`."""
        with self._errors():
            self._redis.hset(self._marks, name, value)

    def move_mark(self, name: str, before: str | None, value: str) -> bool:
        """See `FeatureStore.move_mark`."""
        with self._errors():
            return bool(self._move([self._marks], [name, before or "", value]))

    def close(self) -> None:
        """See `FeatureStore.close`."""
        self._redis.close()

    def _get(self, user: str) -> Record | None:
        with self._errors():
            found: Any = self._redis.hmget(self._shopper(user), ["state", "hidden"])
        return _record(*found)

    def _apply(self, changes: Mapping[str, Sequence[Change]], now: float, replayed: bool) -> int:
        taken, left = 0, list(changes)
        for _ in range(_MOST_TRIES):
            again: list[str] = []
            for start in range(0, len(left), _TOGETHER):
                some = left[start : start + _TOGETHER]
                folded = [
                    self._fold(found, changes[found.user], replayed)
                    for found in self._read(some, changes)
                ]
                written = self._write(folded, now)
                taken += sum(one.taken for one, done in zip(folded, written, strict=True) if done)
                again += [one.user for one, done in zip(folded, written, strict=True) if not done]
            if not again:
                return taken
            left = again
        raise StoreError(f"{len(left)} shoppers are changed by others all the time")

    def _read(
        self, users: Sequence[str], changes: Mapping[str, Sequence[Change]]
    ) -> Iterator["_Found"]:
        """Shoppers as they are, and which of their changes' keys are there, in one round trip."""
        keys = {user: [key for change in changes[user] for key in change.keys] for user in users}
        with self._errors():
            pipeline = self._redis.pipeline(transaction=False)
            for user in users:
                pipeline.hmget(self._shopper(user), ["version", "state", "hidden"])
                pipeline.zmscore(self._applied(user), keys[user])
            found = pipeline.execute()
        for user, (version, *content), scores in zip(users, found[::2], found[1::2], strict=True):
            there = [
                key for key, score in zip(keys[user], scores, strict=True) if score is not None
            ]
            record = _record(*content) or Record(ShopperState(), [])
            yield _Found(user, version or b"0", record, set(there))

    def _fold(self, found: "_Found", changes: Sequence[Change], replayed: bool) -> "_Folded":
        new: list[str] = []

        def is_new(key: str) -> bool:
            if key in found.there:
                return False
            found.there.add(key)
            new.append(key)
            return True

        taken = self._take(found.record, changes, is_new, replayed)
        return _Folded(found.user, found.version, found.record, new, taken)

    def _write(self, folded: Sequence["_Folded"], now: float) -> list[bool]:
        """Writes those that changed, in one round trip; whether nobody came in between."""
        with self._errors():
            pipeline = self._redis.pipeline(transaction=False)
            for one in folded:
                if one.taken:
                    state, hidden = one.record
                    last = "" if state.last is None else state.last
                    content = last, state.to_bytes(), orjson.dumps(hidden)
                    fades = int(one.user.startswith(ANONYMOUS))
                    self._put(
                        [self._shopper(one.user), self._applied(one.user)],
                        [one.version, *content, int(now), REMEMBER_SECONDS, fades, *one.keys],
                        client=pipeline,
                    )
            answers = iter(pipeline.execute())
        return [bool(next(answers)) if one.taken else True for one in folded]

    @property
    def _marks(self) -> str:
        return f"{self._prefix}:marks"

    def _shopper(self, user: str) -> str:
        # What stands in braces decides on the node of a cluster: both keys are on one.
        return f"{self._prefix}:shopper:{{{user}}}"

    def _applied(self, user: str) -> str:
        return f"{self._prefix}:applied:{{{user}}}"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            raise StoreError(f"Redis: {error}") from error


class _Found(NamedTuple):
    """A shopper as read, and the keys that are there."""

    user: str
    version: bytes
    record: Record
    there: set[str]


class _Folded(NamedTuple):
    """A shopper as it is to be written, the keys that are new, and how many events it took."""

    user: str
    version: bytes
    record: Record
    keys: list[str]
    taken: int


def _record(state: bytes | None, hidden: bytes | None) -> Record | None:
    if state is None:
        return None
    return Record(ShopperState.from_bytes(state), orjson.loads(hidden or b"[]"))
