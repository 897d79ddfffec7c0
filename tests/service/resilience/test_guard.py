import asyncio
from typing import Any

import pytest

from tfrec.config import validate
from tfrec.service.resilience.budget import Budget, LateError, Step
from tfrec.service.resilience.config import ResilienceConfig
from tfrec.service.resilience.guard import Guard, PartError
from tfrec.serving.status import ServingError

ENDLESS = 3_600_000


def config(**content: Any) -> ResilienceConfig:
    budgets = {"gather": ENDLESS, "sources": ENDLESS, "rank": 1, "explain": ENDLESS}
    content = {"request": ENDLESS, "budgets": budgets, "breaker": {"failures": 2}, **content}
    return validate(ResilienceConfig, content)


async def answer() -> str:
    return "answer"


async def never() -> str:
    await asyncio.Event().wait()
    return "never"


def test_step_has_its_own_time_and_no_more_than_the_request_has_left(clock: Any) -> None:
    budget = Budget(config(request=1000, budgets={"gather": 400, "rank": 700}), clock)
    assert budget.seconds("gather") == pytest.approx(0.4)
    clock.now += 0.8
    assert budget.seconds("gather") == pytest.approx(0.2)
    clock.now += 5
    assert budget.seconds("rank") == 0


def test_answer_in_time_is_given() -> None:
    assert asyncio.run(Budget(config()).run("gather", answer)) == "answer"


def test_answer_that_takes_too_long_is_given_up() -> None:
    given_up = []

    async def slow() -> None:
        try:
            await never()
        except asyncio.CancelledError:
            given_up.append(1)
            raise asyncio.CancelledError("by hand, as gRPC does") from None

    async def run() -> None:
        with pytest.raises(LateError, match="rank: no answer in 1 ms") as caught:
            await Budget(config()).run("rank", slow)
        assert caught.value.is_own
        await asyncio.sleep(0)
        assert given_up

    asyncio.run(run())


def test_call_that_gives_up_reluctantly_is_not_waited_for() -> None:
    async def run() -> None:
        held = asyncio.Event()

        async def reluctant() -> None:
            try:
                await never()
            finally:
                await held.wait()

        with pytest.raises(LateError):
            await Budget(config()).run("rank", reluctant)
        held.set()

    asyncio.run(run())


def test_call_that_cancels_itself_does_not_cancel_its_caller() -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    with pytest.raises(PartError, match="gave itself up") as caught:
        call(Guard(config()), give_up, step="gather")
    assert caught.value.reason == "error"


def test_cancelled_request_cancels_what_it_called() -> None:
    async def run() -> None:
        given_up = asyncio.Event()

        async def slow() -> None:
            try:
                await never()
            finally:
                given_up.set()

        request = asyncio.create_task(Budget(config()).run("gather", slow))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await given_up.wait()

    asyncio.run(run())


def test_nothing_is_asked_when_the_requests_time_is_over(clock: Any) -> None:
    budget, asked = Budget(config(), clock), []
    clock.now += ENDLESS

    async def note() -> None:
        asked.append(1)

    with pytest.raises(LateError) as caught:
        asyncio.run(budget.run("gather", note))
    assert not caught.value.is_own
    assert not asked


def call(guard: Guard, function: Any, part: str = "ranker", step: Step = "rank") -> Any:
    async def run() -> Any:
        return await guard.call(part, step, guard.budget(), function)

    return asyncio.run(run())


def reason(guard: Guard, function: Any, part: str = "ranker", step: Step = "rank") -> str:
    with pytest.raises(PartError, match=f"^{part}: ") as caught:
        call(guard, function, part, step)
    assert caught.value.part == part
    return caught.value.reason


def raising(error: Exception) -> Any:
    async def run() -> None:
        raise error

    return run


def test_part_that_answers_is_heard() -> None:
    assert call(Guard(config()), answer, step="gather") == "answer"


def test_late_part_is_left_alone_and_tried_again_later(clock: Any) -> None:
    guard = Guard(config(breaker={"failures": 2, "recover": "10s"}), clock)
    assert [reason(guard, never) for _ in range(3)] == ["late", "late", "open"]
    assert guard.states() == {"ranker": "open"}
    clock.now += 10
    assert guard.states() == {"ranker": "half_open"}
    assert call(guard, answer, step="gather") == "answer"
    assert guard.states() == {"ranker": "closed"}


def test_parts_fail_each_alone(clock: Any) -> None:
    guard = Guard(config(), clock)
    faults = [reason(guard, raising(OSError("down")), "store", "gather") for _ in range(3)]
    assert faults == ["error", "error", "open"]
    assert call(guard, answer, "ranker", "gather") == "answer"


def test_part_is_not_blamed_for_those_that_took_its_time(clock: Any) -> None:
    guard = Guard(config(), clock)

    async def run() -> None:
        budget = guard.budget()
        clock.now += ENDLESS
        for _ in range(3):
            with pytest.raises(PartError):
                await guard.call("ranker", "rank", budget, answer)

    asyncio.run(run())
    assert guard.states() == {"ranker": "closed"}


def test_server_is_not_blamed_for_a_wrong_question(clock: Any) -> None:
    guard, wrong = Guard(config(), clock), ServingError("INVALID_ARGUMENT", "x: no such input")
    assert [reason(guard, raising(wrong), step="gather") for _ in range(3)] == ["error"] * 3
    gone = ServingError("UNAVAILABLE", "no version")
    faults = [reason(guard, raising(gone), step="gather") for _ in range(3)]
    assert faults == ["error", "error", "open"]


def test_it_is_logged_once_when_a_part_goes_and_when_it_is_back(clock: Any, caplog: Any) -> None:
    guard = Guard(config(breaker={"failures": 1, "recover": 1000}), clock)
    for _ in range(3):
        reason(guard, never)
    assert [record.message.partition(":")[0] for record in caplog.records] == ["ranker"]
    clock.now += 1
    call(guard, answer, step="gather")
    assert caplog.records[-1].message == "ranker: is back"
    assert len(caplog.records) == 2
