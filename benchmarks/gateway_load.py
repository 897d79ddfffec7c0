"""Shoppers who ask a gateway all the time, and what they are answered."""

import http.client
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NamedTuple
from urllib.parse import urlsplit

import orjson

_WAIT_SECONDS = 120


class Answer(NamedTuple):
    """What one request came to.

    Attributes:
      status: of HTTP; 0 where the connection failed.
      fallbacks: the parts for which something stood in.
      models: model -> version.
      items: on the slate.
      seconds: until the answer was there.
    """

    status: int
    fallbacks: tuple[str, ...]
    models: dict[str, str]
    items: int
    seconds: float


class Shopper:
    """A connection that is kept."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)

    def home(self, user: str) -> Answer:
        """Asks for the first shelf."""
        body = orjson.dumps({"scenario": "home", "user": user, "k": 10})
        headers = {"content-type": "application/json"}
        began = time.perf_counter()
        try:
            self._connection.request("POST", "/v1/recommendations", body, headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return Answer(0, (), {}, 0, time.perf_counter() - began)
        seconds = time.perf_counter() - began
        if response.status != 200:
            return Answer(response.status, (), {}, 0, seconds)
        slate = orjson.loads(content)
        parts = tuple(told.partition(":")[0] for told in slate["fallbacks"])
        return Answer(200, parts, slate["models"], len(slate["items"]), seconds)

    def close(self) -> None:
        self._connection.close()


class Load:
    """Shoppers who go on asking, each after a short pause, until the block ends."""

    def __init__(self, url: str, users: Sequence[str], shoppers: int, pause_seconds: float) -> None:
        self._url, self._pause_seconds = url, pause_seconds
        self._users = itertools.cycle(users)
        self._answers: list[Answer] = []
        self._new, self._ended = threading.Condition(), threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(shoppers)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    @property
    def answers(self) -> list[Answer]:
        """All so far."""
        with self._new:
            return list(self._answers)

    def until(self, is_it: Callable[[Answer], bool], times: int = 1) -> None:
        """Waits for so many further answers that are as wanted.

        Raises:
          TimeoutError: if they do not come.
        """
        deadline = time.monotonic() + _WAIT_SECONDS
        with self._new:
            seen = len(self._answers)
            while times:
                if not self._new.wait(deadline - time.monotonic()):
                    last = Counter(one.fallbacks for one in self._answers[-100:])
                    raise TimeoutError(f"no such answer in {_WAIT_SECONDS} s; the last: {last}")
                times -= sum(map(is_it, self._answers[seen:]))
                times, seen = max(times, 0), len(self._answers)

    def _ask(self) -> None:
        shopper = Shopper(self._url)
        while not self._ended.wait(self._pause_seconds):
            with self._new:
                user = next(self._users)
            answer = shopper.home(user)
            with self._new:
                self._answers.append(answer)
                self._new.notify_all()
        shopper.close()
