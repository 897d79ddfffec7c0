"""The embedded model server: TensorFlow Serving's API from this process."""

import logging
import os
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import TracebackType

from tfrec.serving.batcher import Batcher
from tfrec.serving.batching import BatchingParameters
from tfrec.serving.config_poller import ConfigPoller
from tfrec.serving.grpc_server import GrpcServer
from tfrec.serving.grpc_service import add_services
from tfrec.serving.manager import ModelManager
from tfrec.serving.model_config import ModelConfig, listed_models, read_model_config
from tfrec.serving.model_versions import load_servable
from tfrec.serving.rest import RestApi
from tfrec.serving.rest_server import RestServer
from tfrec.serving.servable import Servable
from tfrec.serving.tls import SslConfig

logger = logging.getLogger(__name__)

_DRAIN_SECONDS = 30.0
_WAKE_SECONDS = 0.5


class ModelServer:
    """Serves SavedModels over gRPC and REST, as TensorFlow Serving does.

    Use it as a context manager, or call `start` and `stop`. Arguments have the names of
    tensorflow_model_server's flags.

    Attributes:
      port: the gRPC port; after `start` the real one, where 0 was asked for.
      rest_api_port: the REST port, likewise.
    """

    def __init__(
        self,
        models: Mapping[str, Path | str] | None = None,
        *,
        model_config_file: Path | None = None,
        model_config_file_poll_wait_seconds: float = 0.0,
        host: str = "127.0.0.1",
        port: int = 8500,
        rest_api_port: int = 8501,
        grpc_socket_path: Path | None = None,
        grpc_max_threads: int = 4 * (os.cpu_count() or 1),
        grpc_channel_arguments: Mapping[str, int | str] | None = None,
        enable_grpc_healthcheck_service: bool = False,
        rest_api_timeout_in_ms: int = 30_000,
        file_system_poll_wait_seconds: float = 1.0,
        max_num_load_retries: int = 5,
        load_retry_interval_micros: int = 60_000_000,
        allow_version_labels_for_unavailable_models: bool = False,
        batching: BatchingParameters | None = None,
        monitoring_path: str | None = None,
        ssl: SslConfig | None = None,
    ) -> None:
        """Describes a server; nothing is loaded and no port is opened before `start`.

        Args:
          models: base path of each model by its name; below it a directory a version.
          model_config_file: a ModelServerConfig in text form, in place of `models`.
          model_config_file_poll_wait_seconds: time between two readings of it; 0 reads it once.
          host: address to listen on; "0.0.0.0" for every IPv4 interface, "::" for all.
          port: gRPC port, 0 for any free one.
          rest_api_port: REST port, 0 for any free one.
          grpc_socket_path: Unix socket to answer gRPC on as well.
          grpc_max_threads: gRPC requests that run at once; more wait for their turn.
          grpc_channel_arguments: settings of gRPC's own, by name.
          enable_grpc_healthcheck_service: also answers grpc.health.v1.
          rest_api_timeout_in_ms: a REST request's model run is stopped after this time. A gRPC
            request's run is stopped at the deadline of its client.
          file_system_poll_wait_seconds: time between two looks for new versions; 0 looks once.
          max_num_load_retries: how often a version that failed to load is tried again.
          load_retry_interval_micros: time between a failure and the next try.
          allow_version_labels_for_unavailable_models: lets a label that is not in use point to a
            version that is not loaded.
          batching: runs requests that come at the same time together.
          monitoring_path: path of the REST port that shows Prometheus metrics; None shows none.
          ssl: makes both ports TLS.

        Raises:
          UserError: if a value is out of range, or the config file is refused.
        """
        self.port = port
        self.rest_api_port = rest_api_port
        self._host = host
        self._config_file = model_config_file
        self._config_poll_seconds = model_config_file_poll_wait_seconds
        self._batcher = Batcher(batching) if batching else None
        self._manager = ModelManager(
            self._first_models(models or {}),
            load=self._load,
            file_system_poll_wait_seconds=file_system_poll_wait_seconds,
            max_num_load_retries=max_num_load_retries,
            load_retry_interval_seconds=load_retry_interval_micros / 1_000_000,
            allow_version_labels_for_unavailable_models=allow_version_labels_for_unavailable_models,
        )
        self._make_grpc_server = partial(
            GrpcServer,
            lambda server: add_services(server, self._manager),
            host,
            socket_path=grpc_socket_path,
            max_threads=grpc_max_threads,
            channel_arguments=grpc_channel_arguments,
            health_service=enable_grpc_healthcheck_service,
            credentials=ssl.grpc_credentials() if ssl else None,
        )
        self._make_rest_server = partial(
            RestServer,
            RestApi(self._manager, rest_api_timeout_in_ms / 1000, monitoring_path),
            host,
            ssl_context=ssl.context() if ssl else None,
        )
        self._config_poller: ConfigPoller | None = None
        self._grpc_server: GrpcServer | None = None
        self._rest_server: RestServer | None = None
        self._opening = threading.Lock()
        self._stopping = threading.Event()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Loads every model, then opens the ports.

        A model whose base path is missing or empty is waited for with no port open.

        Raises:
          UserError: if the first version of a model fails to load, or a port is in use.
        """
        try:
            self._manager.start()
            with self._opening:
                if self._stopping.is_set():
                    return
                self._open()
        except BaseException:
            self.stop()
            raise
        logger.info(
            "serving gRPC on %s:%d and REST on %s:%d",
            *(self._host, self.port, self._host, self.rest_api_port),
        )

    @property
    def stopping(self) -> bool:
        """Whether `stop` has been called."""
        return self._stopping.is_set()

    def wait(self) -> None:
        """Returns once the server has been stopped.

        Python runs signal handlers in its main thread alone, and a signal that the kernel gives to
        another thread does not wake it. So the wait ends now and then.
        """
        while not self._stopped.wait(_WAKE_SECONDS):
            pass

    def stop(self) -> None:
        """Takes no more requests, lets running ones finish and unloads the models.

        It waits for other threads, so a signal handler must leave the call to a thread of its own.
        """
        self._stopping.set()
        self._manager.begin_stop()
        with self._opening:
            if self._config_poller is not None:
                self._config_poller.stop()
            drained = self._grpc_server.begin_stop(_DRAIN_SECONDS) if self._grpc_server else None
            if self._rest_server is not None:
                self._rest_server.stop()
            if self._grpc_server is not None and drained is not None:
                drained.wait()
                self._grpc_server.close()
            self._config_poller = self._grpc_server = self._rest_server = None
            self._manager.stop()
            if self._batcher is not None:
                self._batcher.close()
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

    def _first_models(self, models: Mapping[str, Path | str]) -> list[ModelConfig]:
        if self._config_file is not None:
            return list(listed_models(read_model_config(self._config_file)))
        return [ModelConfig(name, Path(path)) for name, path in models.items()]

    def _load(self, path: Path) -> Servable:
        servable = load_servable(path)
        return self._batcher.wrap(servable) if self._batcher else servable

    def _open(self) -> None:
        self._grpc_server = self._make_grpc_server(self.port)
        self.port = self._grpc_server.port
        self._rest_server = self._make_rest_server(self.rest_api_port, _DRAIN_SECONDS)
        self.rest_api_port = self._rest_server.port
        if self._config_file is not None and self._config_poll_seconds > 0:
            self._config_poller = ConfigPoller(
                self._manager, self._config_file, self._config_poll_seconds
            )
