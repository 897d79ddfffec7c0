"""The service on the toy shop, and a model server's metrics, as Prometheus scrapes them."""

import asyncio
import socket
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from gateway_shop import ToyModels, make_gateway
from monitoring_programs import wait_for
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tfrec.service.http.app import make_app
from tfrec.service.http.config import HttpConfig
from tfrec.serving.monitoring import DEFAULT_PATH, render_metrics

GATEWAY, MODEL_SERVER = "tfrec-gateway", "tfrec-models"
_SECONDS = 60


class MonitoredService:
    """Two servers in a thread.

    Attributes:
      models: of the service, which can be told to fail.
      ports: job, as Prometheus' config names it -> port.
    """

    def __init__(self, folder: Path) -> None:
        """Starts both; what the service writes is below `folder`."""
        self.models = ToyModels()
        self._client = httpx.Client(timeout=_SECONDS)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        # Each request asks the models.
        without = {"breaker": {"failures": 1000}, "cache": {"entries": 0}}
        self._gateway = make_gateway(folder, self.models, resilience=without)
        model_server = Starlette(routes=[Route(DEFAULT_PATH, _model_metrics)])
        self._apps = {GATEWAY: make_app(self._gateway, HttpConfig()), MODEL_SERVER: model_server}
        self.ports: dict[str, int] = {}
        self._held: dict[str, socket.socket] = {}
        self._running: dict[str, tuple[uvicorn.Server, Future[None]]] = {}
        for job in self._apps:
            self.start(job)

    def recommend(self, user: str) -> dict[str, Any]:
        """Asks for a slate over HTTP."""
        url = f"http://127.0.0.1:{self.ports[GATEWAY]}/v1/recommendations"
        answer = self._client.post(url, json={"user": user})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def start(self, job: str) -> None:
        """Has a server answer, on the port that it had before."""
        held = self._held.pop(job, None) or _hold(0)
        server = uvicorn.Server(uvicorn.Config(self._apps[job], lifespan="off", log_config=None))
        serving = asyncio.run_coroutine_threadsafe(server.serve([held]), self._loop)
        wait_for(lambda: server.started or serving.done(), f"{job} listens")
        assert server.started
        self._running[job] = server, serving
        self.ports[job] = held.getsockname()[1]

    def stop(self, job: str) -> None:
        """Lets a server answer no more."""
        server, serving = self._running.pop(job)
        server.should_exit = True
        serving.result(_SECONDS)
        self._held[job] = _hold(self.ports[job])

    def close(self) -> None:
        """Stops all."""
        self._client.close()
        for job in [*self._running]:
            self.stop(job)
        for held in self._held.values():
            held.close()
        asyncio.run_coroutine_threadsafe(self._gateway.close(), self._loop).result(_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        self._loop.close()


def _hold(port: int) -> socket.socket:
    """Takes a port, so that nobody else gets it, without listening there."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", port))
    return held


async def _model_metrics(_: Request) -> Response:
    return Response(render_metrics(), media_type="text/plain")
