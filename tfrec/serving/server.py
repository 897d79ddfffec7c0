"""The embedded model server: TensorFlow Serving's API from this process."""

import logging
import os
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import grpc
import uvicorn

from tfrec.errors import UserError
from tfrec.serving.grpc_service import add_services
from tfrec.serving.manager import ModelManager
from tfrec.serving.rest import RestApi

logger = logging.getLogger(__name__)

_DRAIN_SECONDS = 30.0


class ModelServer:
    """Serves SavedModels over gRPC and REST, as TensorFlow Serving does.

    Use it as a context manager, or call `start` and `stop`.

    Attributes:
      port: the gRPC port; after `start` the real one, where 0 was asked for.
      rest_api_port: the REST port, likewise.
    """

    def __init__(
        self,
        models: Mapping[str, Path],
        *,
        host: str = "127.0.0.1",
        port: int = 8500,
        rest_api_port: int = 8501,
        grpc_max_threads: int = 4 * (os.cpu_count() or 1),
        file_system_poll_wait_seconds: float = 1.0,
        rest_api_timeout_in_ms: int = 30_000,
    ) -> None:
        """Describes a server; nothing is loaded and no port is opened before `start`.

        Args:
          models: base path of each model by its name; below it a directory a version.
          host: address to listen on; "0.0.0.0" for every IPv4 interface, "::" for all.
          port: gRPC port, 0 for any free one.
          rest_api_port: REST port, 0 for any free one.
          grpc_max_threads: gRPC requests that run at once; more wait for their turn.
          file_system_poll_wait_seconds: time between two looks for new versions.
          rest_api_timeout_in_ms: a REST request's model run is stopped after this time. A gRPC
            request's run is stopped at the deadline of its client.

        Raises:
          UserError: if the time between two looks is not positive.
        """
        self.port = port
        self.rest_api_port = rest_api_port
        self._host = host
        self._manager = ModelManager(
            models, file_system_poll_wait_seconds=file_system_poll_wait_seconds
        )
        self._rest_api = RestApi(self._manager, rest_api_timeout_in_ms / 1000)
        self._grpc_threads = ThreadPoolExecutor(grpc_max_threads, thread_name_prefix="grpc")
        self._grpc_server: grpc.Server | None = None
        self._rest_server: _RestServer | None = None
        self._stop_lock = threading.Lock()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Loads every model, then opens both ports.

        A model whose base path is missing or empty is waited for with no port open.

        Raises:
          UserError: if the first version of a model fails to load, or a port is in use.
        """
        try:
            self._manager.start()
            if self._stopped.is_set():
                return
            self._start_grpc()
            self._rest_server = _RestServer(self._rest_api, self._host, self.rest_api_port)
            self.rest_api_port = self._rest_server.port
        except BaseException:
            self.stop()
            raise
        logger.info(
            "serving gRPC on %s:%d and REST on %s:%d",
            *(self._host, self.port, self._host, self.rest_api_port),
        )

    def wait(self) -> None:
        """Returns once the server has been stopped."""
        self._stopped.wait()

    def stop(self) -> None:
        """Takes no more requests, lets running ones finish and unloads the models.

        It waits for other threads, so a signal handler must leave the call to a thread of its own.
        """
        with self._stop_lock:
            drained = self._grpc_server.stop(_DRAIN_SECONDS) if self._grpc_server else None
            if self._rest_server is not None:
                self._rest_server.stop()
            if drained is not None:
                drained.wait()
            self._grpc_server = self._rest_server = None
            self._grpc_threads.shutdown()
            self._manager.stop()
            self._stopped.set()

    def __enter__(self) -> "ModelServer":
        """Starts the server."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stops the server."""
        self.stop()

    def _start_grpc(self) -> None:
        # Without SO_REUSEPORT off, a second server on the port takes half of its requests.
        options = [
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
        ]
        server = grpc.server(self._grpc_threads, options=options)
        add_services(server, self._manager)
        host = f"[{self._host}]" if ":" in self._host else self._host
        try:
            self.port = server.add_insecure_port(f"{host}:{self.port}")
        except RuntimeError as error:
            raise _port_error("port", self._host, self.port, error) from error
        server.start()
        self._grpc_server = server


class _RestServer:
    """uvicorn in a thread of its own."""

    def __init__(self, app: RestApi, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server(
                (host, port), family=family, dualstack_ipv6=family == socket.AF_INET6
            )
        except OSError as error:
            raise _port_error("rest_api_port", host, port, error) from error
        # Connections inherit it. Without it a reply's body waits for the client to acknowledge its
        # headers, up to 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = listener.getsockname()[1]
        config = uvicorn.Config(
            app,
            lifespan="off",
            access_log=False,
            server_header=False,
            log_config=None,
            log_level="warning",
            timeout_graceful_shutdown=int(_DRAIN_SECONDS),
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="rest", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


def _port_error(flag: str, host: str, port: int, error: Exception) -> UserError:
    return UserError(
        f"{flag}: cannot listen on {host}:{port} ({error}); stop what uses it or give another"
        f" --{flag}"
    )
