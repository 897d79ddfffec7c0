import asyncio
import socket
from types import SimpleNamespace

import pytest

from tfrec.errors import UserError
from tfrec.serving import AsyncClient, Client, ModelServer, ServingError
from tfrec.serving import async_client as module

MIXED = {"name": ["a", "é"], "count": [1, 2], "weights": [[1, 2], [0.5, -1]]}


@pytest.fixture(scope="module", params=["grpc", "http"])
def url(request: pytest.FixtureRequest, server: ModelServer) -> str:
    port = server.port if request.param == "grpc" else server.rest_api_port
    return f"{request.param}://127.0.0.1:{port}"


def test_answers_are_those_of_the_blocking_client(url: str) -> None:
    async def ask() -> tuple:
        async with AsyncClient(url) as client:
            outputs = await client.predict("tiny", MIXED, signature="mixed")
            return outputs, await client.status("tiny"), await client.metadata("tiny")

    outputs, status, signatures = asyncio.run(ask())

    with Client(url) as client:
        expected = client.predict("tiny", MIXED, signature="mixed")
        assert status == client.status("tiny")
        assert signatures == client.metadata("tiny")
    assert {name: array.tolist() for name, array in outputs.items()} == {
        name: array.tolist() for name, array in expected.items()
    }


def test_calls_run_at_once_and_others_go_on(url: str) -> None:
    """A quick call that begins after an endless one ends before it."""

    async def ask(seconds: float) -> list[str]:
        ended = []

        async def call(name: str, steps: int, seconds: float) -> None:
            try:
                inputs = {"steps": steps}
                await client.predict("tiny", inputs, signature="slow", timeout_seconds=seconds)
            except ServingError as error:
                name = f"{name}: {error.code}"
            ended.append(name)

        async with AsyncClient(url) as client:
            await client.metadata("tiny")
            await asyncio.gather(call("endless", 10**12, seconds), call("quick", 3, 60))
        return ended

    in_order = ["quick", "endless: DEADLINE_EXCEEDED"]
    # On a machine that is busy the quick call may take long, too.
    assert any(asyncio.run(ask(seconds)) == in_order for seconds in (0.7, 3, 3))


def test_wrong_input_is_refused_before_it_is_sent(url: str) -> None:
    async def ask() -> None:
        async with AsyncClient(url) as client:
            await client.predict("tiny", {"x": ["a"]})

    with pytest.raises(UserError, match=r"tiny\.serving_default\.x: takes float32\[\?\], got <U1"):
        asyncio.run(ask())


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_absent_server_is_asked_again_without_blocking_and_named(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=sleep))

    with socket.socket() as silent:  # holds its port, and does not listen there
        silent.bind(("127.0.0.1", 0))
        url = f"{protocol}://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match=f"{url}: no server answers"):
            asyncio.run(AsyncClient(url).status("tiny"))
    assert slept == [0.1, 0.2, 0.4, 0.8]


def test_client_that_was_never_used_can_be_closed() -> None:
    asyncio.run(AsyncClient("grpc://localhost").close())
    Client("http://localhost").close()
