import asyncio
import contextlib
import threading
from collections.abc import Callable

import httpx
import pytest
import uvicorn

from tfrec.serving import rest_server
from tfrec.serving.rest_server import RestServer


async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})


@pytest.fixture
def new_threads() -> Callable[[], set[threading.Thread]]:
    """Threads that a test has started and that still run."""
    before = set(threading.enumerate())
    return lambda: set(threading.enumerate()) - before


def test_server_answers_until_it_is_stopped(new_threads):
    server = RestServer(answer, "127.0.0.1", 0, drain_seconds=5)
    url = f"http://127.0.0.1:{server.port}/"
    assert httpx.get(url).text == "here"

    server.stop()

    assert not new_threads()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_stop_wakes_a_loop_that_sleeps(new_threads, monkeypatch):
    async def sleep_for_ever(server: uvicorn.Server) -> None:
        asleep.set()
        await asyncio.Event().wait()

    asleep = threading.Event()
    monkeypatch.setattr(uvicorn.Server, "main_loop", sleep_for_ever)
    server = RestServer(answer, "127.0.0.1", 0, drain_seconds=5)
    assert asleep.wait(60)

    server.stop()

    assert not new_threads()


def test_stop_at_once_after_the_start_ends_too(new_threads):
    RestServer(answer, "127.0.0.1", 0, drain_seconds=5).stop()

    assert not new_threads()


def ask(port: int) -> None:
    with contextlib.suppress(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{port}/")


def test_stop_gives_up_on_a_loop_that_is_stuck(new_threads, monkeypatch, caplog):
    async def get_stuck(scope, receive, send):
        stuck.set()
        released.wait(60)

    stuck, released = threading.Event(), threading.Event()
    monkeypatch.setattr(rest_server, "_SLACK_SECONDS", 0.05)
    server = RestServer(get_stuck, "127.0.0.1", 0, drain_seconds=0)
    asking = threading.Thread(target=ask, args=(server.port,))
    asking.start()
    assert stuck.wait(60)

    server.stop()

    assert "did not end in time" in caplog.text
    released.set()
    asking.join(60)
    for thread in new_threads():
        thread.join(60)
    assert not new_threads()
