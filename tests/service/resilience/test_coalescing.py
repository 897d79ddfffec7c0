import asyncio
from typing import Any

import pytest

from tfrec.service.resilience.coalescing import Coalescing


class Kitchen:
    """Makes an answer when it is told to, and counts."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.begun = self.given_up = 0

    async def make(self) -> str:
        self.begun += 1
        try:
            await self.ready.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return f"dish {self.begun}"


async def ask(coalescing: Coalescing[str], kitchen: Kitchen, *keys: str) -> list[asyncio.Task]:
    tasks = [asyncio.create_task(coalescing.share(key, kitchen.make)) for key in keys]
    await settle()
    return tasks


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_equal_requests_share_one_answer() -> None:
    async def run() -> None:
        coalescing, kitchen = Coalescing[str](), Kitchen()
        tasks = await ask(coalescing, kitchen, "a", "a", "a")
        kitchen.ready.set()
        answers = await asyncio.gather(*tasks)
        assert answers == [("dish 1", False), ("dish 1", True), ("dish 1", True)]
        assert await coalescing.share("a", kitchen.make) == ("dish 2", False)

    asyncio.run(run())


def test_other_requests_have_their_own() -> None:
    async def run() -> None:
        coalescing, kitchen = Coalescing[str](), Kitchen()
        tasks = await ask(coalescing, kitchen, "a", "b")
        kitchen.ready.set()
        assert [shared for _, shared in await asyncio.gather(*tasks)] == [False, False]
        assert kitchen.begun == 2

    asyncio.run(run())


@pytest.mark.parametrize("leaver", [0, 1])
def test_who_goes_away_does_not_take_it_from_the_others(leaver: int) -> None:
    async def run() -> None:
        coalescing, kitchen = Coalescing[str](), Kitchen()
        tasks = await ask(coalescing, kitchen, "a", "a")
        tasks[leaver].cancel()
        await settle()
        kitchen.ready.set()
        answer, _ = await tasks[1 - leaver]
        assert answer == "dish 1"
        assert not kitchen.given_up
        assert tasks[leaver].cancelled()

    asyncio.run(run())


def test_it_is_given_up_once_nobody_waits() -> None:
    async def run() -> None:
        coalescing, kitchen = Coalescing[str](), Kitchen()
        tasks = await ask(coalescing, kitchen, "a", "a")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Who comes now does not get what is being given up.
        again = await ask(coalescing, kitchen, "a")
        kitchen.ready.set()
        assert await again[0] == ("dish 2", False)
        assert kitchen.given_up == 1

    asyncio.run(run())


def test_fault_reaches_all_and_is_not_kept() -> None:
    async def run() -> None:
        coalescing = Coalescing[Any]()

        async def fail() -> None:
            await asyncio.sleep(0)
            raise OSError("burnt")

        faults = await asyncio.gather(
            *(coalescing.share("a", fail) for _ in range(2)), return_exceptions=True
        )
        assert [str(fault) for fault in faults] == ["burnt", "burnt"]
        kitchen = Kitchen()
        kitchen.ready.set()
        assert await coalescing.share("a", kitchen.make) == ("dish 1", False)

    asyncio.run(run())
