"""Both caches alike; then what is special to each."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import redis
from redis_server import RedisServer, running_redis

from tfrec.config import validate
from tfrec.service.resilience.cache import Cache, key_of
from tfrec.service.resilience.config import ResilienceConfig
from tfrec.service.resilience.memory_cache import MemoryCache
from tfrec.service.resilience.open_cache import open_cache
from tfrec.service.resilience.redis_cache import RedisCache

Run = Callable[[Callable[..., Awaitable[None]]], None]


def redis_config(**cache: Any) -> ResilienceConfig:
    content = {"wait": "10s", **cache}
    return validate(
        ResilienceConfig, {"cache": content, "breaker": {"failures": 1, "recover": "5s"}}
    )


@pytest.fixture(params=["memory", "redis"])
def run(request: pytest.FixtureRequest, clock: Any) -> Run:
    """Runs a function with two caches: of one process, or of two replicas on one Redis."""
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        server.flush()
        config = redis_config()

    def make() -> list[Cache]:
        if request.param == "memory":
            return [MemoryCache(100, 30, clock)] * 2
        return [RedisCache(server.url, config, clock) for _ in range(2)]

    def run(function: Callable[..., Awaitable[None]]) -> None:
        async def with_caches() -> None:
            caches = make()
            await function(*caches)
            for cache in caches:
                await cache.close()

        asyncio.run(with_caches())

    return run


async def put(cache: Cache, shopper: str, key: str, value: bytes) -> None:
    await cache.keep(shopper, key, value, (await cache.find(shopper, key)).stamp)


async def value(cache: Cache, shopper: str, key: str) -> bytes | None:
    return (await cache.find(shopper, key)).value


def test_what_is_kept_is_found(run: Run) -> None:
    async def check(one: Cache, other: Cache) -> None:
        assert await value(one, "ann", "home") is None
        await put(one, "ann", "home", b"slate \x00\xff")
        assert await value(other, "ann", "home") == b"slate \x00\xff"
        assert await value(one, "ann", "search") is None
        assert await value(one, "bob", "home") is None

    run(check)


def test_own_event_makes_all_of_a_shoppers_answers_invalid(run: Run) -> None:
    async def check(one: Cache, other: Cache) -> None:
        for shopper in ("ann", "bob", "cid"):
            await put(one, shopper, "home", b"old")
        await put(one, "ann", "search", b"old")

        await other.forget(["ann", "cid"])

        assert await value(one, "ann", "home") is None
        assert await value(other, "ann", "search") is None
        assert await value(one, "cid", "home") is None
        assert await value(one, "bob", "home") == b"old"
        await put(one, "ann", "home", b"new")
        assert await value(other, "ann", "home") == b"new"

    run(check)


def test_answer_made_before_an_event_is_not_kept_after_it(run: Run) -> None:
    async def check(one: Cache, other: Cache) -> None:
        asked = await one.find("ann", "home")
        await other.forget(["ann"])
        await one.keep("ann", "home", b"of before", asked.stamp)
        assert await value(one, "ann", "home") is None
        assert await value(other, "ann", "home") is None

    run(check)


def test_each_event_counts(run: Run) -> None:
    async def check(one: Cache, other: Cache) -> None:
        await one.forget(["ann"])
        await put(one, "ann", "home", b"after the first")
        assert await value(other, "ann", "home") == b"after the first"
        await one.forget(["ann"])
        assert await value(one, "ann", "home") is None

    run(check)


def test_in_process_an_answer_fades(clock: Any) -> None:
    async def check() -> None:
        cache = MemoryCache(10, 30, clock)
        await put(cache, "ann", "home", b"slate")
        clock.now += 29
        assert await value(cache, "ann", "home") == b"slate"
        clock.now += 1
        assert await value(cache, "ann", "home") is None

    asyncio.run(check())


def test_in_process_an_event_is_remembered_as_long_as_what_it_made_invalid(clock: Any) -> None:
    async def check() -> None:
        cache = MemoryCache(10, 30, clock)
        await put(cache, "ann", "home", b"slate")
        clock.now += 15
        await cache.forget(["ann"])
        for _ in range(60):
            assert await value(cache, "ann", "home") is None
            clock.now += 1

    asyncio.run(check())


def test_in_process_as_many_are_kept_as_there_is_room(clock: Any) -> None:
    async def check() -> None:
        cache = MemoryCache(3, 30, clock)
        for number in range(3):
            await put(cache, "ann", str(number), b"slate")
        await cache.find("ann", "0")
        await put(cache, "ann", "3", b"slate")
        there = [await value(cache, "ann", str(number)) is not None for number in range(4)]
        assert there == [True, False, True, True]

    asyncio.run(check())


def test_redis_keeps_an_answer_as_long_as_the_config_says_and_no_plain_ids(
    redis_server: RedisServer,
) -> None:
    config = redis_config(keep="30s")
    redis_server.flush()

    async def fill() -> None:
        cache = RedisCache(redis_server.url, config)
        await cache.forget(["household-7"])
        await put(cache, "household-7", key_of("household-7"), b"slate")
        await cache.close()

    asyncio.run(fill())
    with redis.Redis.from_url(redis_server.url) as client:
        lives = {key: client.pttl(key) for key in client.scan_iter()}
    assert len(lives) == 2
    assert not [key for key in lives if b"household" in key]
    stamp, answer = (
        next(life for key, life in lives.items() if key.endswith(b":stamp") == is_stamp)
        for is_stamp in (True, False)
    )
    assert 0 < answer <= 30_000 < stamp + 30_000 <= 61_000


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("own")) as server:
        yield server


def test_redis_that_is_away_is_a_miss_and_comes_back_by_itself(
    own_redis: RedisServer, clock: Any
) -> None:
    config = redis_config()

    async def check() -> None:
        cache = RedisCache(own_redis.url, config, clock)
        await put(cache, "ann", "home", b"slate")
        own_redis.kill()
        for _ in range(3):
            assert await cache.find("ann", "home") == (None, None)
            await cache.keep("ann", "home", b"slate", b"-" * 16)
        own_redis.start()
        # It is left alone until the breaker lets a call through.
        assert await cache.find("ann", "home") == (None, None)
        clock.now += 5
        assert await value(cache, "ann", "home") == b"slate"
        await cache.close()

    asyncio.run(check())


def test_redis_is_told_of_events_that_it_missed(own_redis: RedisServer, clock: Any) -> None:
    config = redis_config()

    async def check() -> None:
        one, other = (RedisCache(own_redis.url, config, clock) for _ in range(2))
        for shopper in ("ann", "bob"):
            await put(one, shopper, "home", b"old")
        own_redis.kill()
        await one.forget(["ann"])
        own_redis.start()
        clock.now += 5
        # Any question is enough to tell it.
        assert await value(one, "bob", "home") == b"old"
        assert await value(other, "ann", "home") is None
        for cache in (one, other):
            await cache.close()

    asyncio.run(check())


def test_key_depends_on_every_part_and_on_no_order_of_names() -> None:
    assert key_of({"a": 1, "b": 2}, "v1") == key_of({"b": 2, "a": 1}, "v1")
    assert len({key_of("ab", "c"), key_of("a", "bc"), key_of("a", "b", "c"), key_of(["ab"])}) == 4
    assert "ann" not in key_of("ann")


def test_cache_is_where_all_replicas_see_it() -> None:
    async def check() -> None:
        for content, store, kind in (
            ({}, "sqlite:///features.sqlite", MemoryCache),
            ({}, "redis://127.0.0.1:1/0", RedisCache),
            ({"redis": "redis://127.0.0.1:1"}, "sqlite:///features.sqlite", RedisCache),
            ({"entries": 0}, "redis://127.0.0.1:1/0", MemoryCache),
        ):
            cache = open_cache(validate(ResilienceConfig, {"cache": content}), store)
            assert type(cache) is kind
            await cache.forget(["ann"])
            await cache.close()

    asyncio.run(check())


def test_cache_without_room_keeps_nothing_but_tells_what_is_equal(clock: Any) -> None:
    async def check() -> None:
        cache = MemoryCache(0, 30, clock)
        await put(cache, "ann", "home", b"slate")
        before = await cache.find("ann", "home")
        assert before.value is None
        assert await cache.find("ann", "home") == before
        await cache.forget(["ann"])
        assert (await cache.find("ann", "home")).stamp != before.stamp

    asyncio.run(check())
