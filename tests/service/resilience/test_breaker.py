import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tfrec.service.resilience.breaker import Breaker, OpenError


class IllError(Exception):
    pass


async def well() -> str:
    return "well"


async def ill() -> str:
    raise IllError


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        with pytest.raises(IllError):
            asyncio.run(breaker.call(ill))


def refuses(breaker: Breaker) -> bool:
    try:
        asyncio.run(breaker.call(well))
    except OpenError:
        return True
    return False


def test_some_failures_in_a_row_open_it(clock: Any) -> None:
    breaker = Breaker(3, 10, clock)
    fail(breaker, 2)
    assert breaker.state == "closed"

    fail(breaker, 1)

    assert breaker.state == "open"
    assert refuses(breaker)


def test_success_between_failures_keeps_it_closed(clock: Any) -> None:
    breaker = Breaker(3, 10, clock)
    for _ in range(3):
        fail(breaker, 2)
        assert asyncio.run(breaker.call(well)) == "well"
    assert breaker.state == "closed"


def test_open_it_does_not_ask(clock: Any) -> None:
    breaker, asked = Breaker(1, 10, clock), []
    fail(breaker, 1)

    async def note() -> None:
        asked.append(1)

    with pytest.raises(OpenError):
        asyncio.run(breaker.call(note))
    assert not asked


def test_it_closes_by_itself_when_the_part_is_back(clock: Any) -> None:
    breaker = Breaker(2, 10, clock)
    fail(breaker, 2)
    clock.now += 9.9
    assert refuses(breaker)

    clock.now += 0.1

    assert breaker.state == "half_open"
    assert asyncio.run(breaker.call(well)) == "well"
    assert breaker.state == "closed"
    fail(breaker, 1)
    assert breaker.state == "closed"


def test_one_failure_opens_it_again_while_half_open(clock: Any) -> None:
    breaker = Breaker(3, 10, clock)
    fail(breaker, 3)
    clock.now += 10
    fail(breaker, 1)
    assert breaker.state == "open"
    clock.now += 9
    assert breaker.state == "open"
    clock.now += 1
    assert breaker.state == "half_open"


def test_only_one_call_at_a_time_goes_through_while_half_open(clock: Any) -> None:
    async def run() -> None:
        breaker, answered = Breaker(1, 10, clock), asyncio.Event()
        with pytest.raises(IllError):
            await breaker.call(ill)
        clock.now += 10
        probe = asyncio.ensure_future(breaker.call(answered.wait))
        await asyncio.sleep(0)
        for _ in range(3):
            with pytest.raises(OpenError):
                await breaker.call(well)
        answered.set()
        await probe
        assert await breaker.call(well) == "well"

    asyncio.run(run())


def test_cancelled_probe_lets_the_next_call_try(clock: Any) -> None:
    async def run() -> None:
        breaker = Breaker(1, 10, clock)
        with pytest.raises(IllError):
            await breaker.call(ill)
        clock.now += 10
        await cancel(breaker)
        assert breaker.state == "half_open"
        assert await breaker.call(well) == "well"

    asyncio.run(run())


def test_cancelled_calls_are_no_failures(clock: Any) -> None:
    async def run() -> None:
        breaker = Breaker(1, 10, clock)
        await cancel(breaker)
        assert breaker.state == "closed"

    asyncio.run(run())


async def cancel(breaker: Breaker) -> None:
    call = asyncio.ensure_future(breaker.call(asyncio.Event().wait))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


@pytest.mark.parametrize("outcome", [well, ill])
def test_answer_of_before_it_opened_does_not_count(clock: Any, outcome: Callable) -> None:
    async def run() -> None:
        breaker, answered = Breaker(1, 10, clock), asyncio.Event()

        async def late() -> str:
            await answered.wait()
            return await outcome()

        call = asyncio.ensure_future(breaker.call(late))
        await asyncio.sleep(0)
        with pytest.raises(IllError):
            await breaker.call(ill)
        clock.now += 9
        answered.set()
        await asyncio.gather(call, return_exceptions=True)
        assert breaker.state == "open"
        clock.now += 1
        assert breaker.state == "half_open"

    asyncio.run(run())


def test_error_that_is_not_its_fault_does_not_count(clock: Any) -> None:
    breaker = Breaker(1, 10, clock, blames=lambda error: not isinstance(error, IllError))
    fail(breaker, 5)
    assert breaker.state == "closed"
