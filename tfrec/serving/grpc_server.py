"""The gRPC port, and the Unix socket beside it."""

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tfrec.errors import UserError
from tfrec.serving.grpc_threads import GrpcThreads

ChannelArguments = Mapping[str, int | str]


class GrpcServer:
    """Answers gRPC requests until `stop`.

    Attributes:
      port: the port it listens on.
    """

    def __init__(
        self,
        add_services: Callable[[grpc.Server], None],
        host: str,
        port: int,
        *,
        socket_path: Path | None = None,
        max_threads: int = 4 * (os.cpu_count() or 1),
        channel_arguments: ChannelArguments | None = None,
        health_service: bool = False,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        """Opens the port and starts to answer.

        Args:
          add_services: registers services on a server that is not yet started.
          host: address to listen on.
          port: port to listen on, 0 for any free one.
          socket_path: Unix socket to listen on as well; one that is left from before is replaced.
          max_threads: requests that run at once, but for quick ones; more wait for their turn.
          channel_arguments: settings of gRPC's own, by name.
          health_service: also answers grpc.health.v1.
          credentials: makes it TLS.

        Raises:
          UserError: if the port is in use, or the socket cannot be made.
        """
        # Without SO_REUSEPORT off, a second server on the port takes half of its requests.
        options = {
            "grpc.so_reuseport": 0,
            "grpc.max_receive_message_length": -1,
            "grpc.max_send_message_length": -1,
            **(channel_arguments or {}),
        }
        self._threads = GrpcThreads(max_threads, thread_name_prefix="grpc")
        self._server = grpc.server(self._threads, options=list(options.items()))
        add_services(self._server)
        self._health = _add_health_service(self._server) if health_service else None
        host = f"[{host}]" if ":" in host else host
        self.port = self._listen("port", f"{host}:{port}", credentials)
        if socket_path is not None:
            self._listen("grpc_socket_path", f"unix:{socket_path}", credentials)
        self._server.start()

    def begin_stop(self, drain_seconds: float) -> threading.Event:
        """Takes no more requests, and cancels those that run on after `drain_seconds`.

        Returns:
          An event that is set once all requests have ended.
        """
        if self._health is not None:
            self._health.enter_graceful_shutdown()
        return self._server.stop(drain_seconds)

    def close(self) -> None:
        """Ends the threads, once all requests have ended."""
        self._threads.shutdown()

    def _listen(self, flag: str, address: str, credentials: grpc.ServerCredentials | None) -> int:
        try:
            if credentials is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            self._server.stop(None)
            raise UserError(
                f"{flag}: cannot listen on {address} ({error}); stop what uses it or give another"
                f" --{flag}"
            ) from error


def _add_health_service(server: grpc.Server) -> health.HealthServicer:
    servicer = health.HealthServicer()
    for service in ("ModelService", "PredictionService"):
        servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    return servicer
