"""`tfrec serve`: the embedded model server."""

import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tfrec.errors import UserError

_FILE = click.Path(path_type=Path)


class StartError(UserError):
    """The server could not start."""

    exit_status = 255


def _switch(name: str, help: str) -> Callable[[Callable], Callable]:
    """A flag that TensorFlow Serving takes as `--name`, `--name=true` and `--name=false`."""
    return click.option(name, is_flag=False, flag_value=True, default=False, type=bool, help=help)


@click.command(context_settings={"show_default": True})
@click.argument("model_root", required=False, type=_FILE)
@click.option("--model_name", help="Name to serve MODEL_ROOT under; its directory's by default.")
@click.option("--model_base_path", type=_FILE, help='MODEL_ROOT, served as "default".')
@click.option("--model_config_file", type=_FILE, help="ModelServerConfig in place of one model.")
@click.option(
    "--model_config_file_poll_wait_seconds",
    default=0.0,
    help="Time between two readings of it; 0 reads it once.",
)
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=8500, help="gRPC port; 0 picks a free one.")
@click.option("--rest_api_port", default=8501, help="REST port, likewise.")
@click.option("--grpc_socket_path", type=_FILE, help="Unix socket to answer gRPC on as well.")
@click.option(
    "--grpc_max_threads",
    default=4 * (os.cpu_count() or 1),
    show_default="4 a CPU",
    help="gRPC requests that run at once.",
)
@click.option("--grpc_channel_arguments", default="", help="gRPC's own settings: a=b,c=d.")
@_switch("--enable_grpc_healthcheck_service", help="Answer grpc.health.v1.")
@click.option("--rest_api_timeout_in_ms", default=30_000, help="Longest REST request.")
@click.option(
    "--file_system_poll_wait_seconds",
    default=1.0,
    help="Time between two looks for new versions; 0 looks once.",
)
@click.option("--max_num_load_retries", default=5, help="More tries of a version that failed.")
@click.option(
    "--load_retry_interval_micros", default=60_000_000, help="Time between two such tries."
)
@_switch(
    "--allow_version_labels_for_unavailable_models",
    help="Let new labels point to versions that are not loaded.",
)
@_switch("--enable_batching", help="Run requests together.")
@click.option("--batching_parameters_file", type=_FILE, help="BatchingParameters for it.")
@click.option("--monitoring_config_file", type=_FILE, help="MonitoringConfig: Prometheus metrics.")
@click.option("--ssl_config_file", type=_FILE, help="SSLConfig: TLS for both ports.")
def serve(
    model_root: Path | None,
    model_name: str | None,
    model_base_path: Path | None,
    grpc_channel_arguments: str,
    enable_batching: bool,
    batching_parameters_file: Path | None,
    monitoring_config_file: Path | None,
    ssl_config_file: Path | None,
    **options: Any,
) -> None:
    """Serve a model root as TensorFlow Serving does, over gRPC and REST.

    MODEL_ROOT holds a directory per version; new ones are picked up while running. Flags have the
    names, forms and meanings of tensorflow_model_server.

    \b
    Examples:
      tfrec serve serving/complete_journey
      tfrec serve --model_config_file=models.config --rest_api_port=8501
    """
    from tfrec.serving.server import ModelServer

    config_file, host = options["model_config_file"], options["host"]
    try:
        models = {} if config_file else _one_model(model_root, model_base_path, model_name)
        server = ModelServer(
            models,
            grpc_channel_arguments=_channel_arguments(grpc_channel_arguments),
            batching=_batching(enable_batching, batching_parameters_file),
            monitoring_path=_monitoring_path(monitoring_config_file),
            ssl=_ssl(ssl_config_file),
            **options,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            # Stopping takes locks that the interrupted code may hold, so another thread does it.
            signal.signal(number, lambda *_: threading.Thread(target=server.stop).start())
        server.start()
    except UserError as error:
        raise StartError(str(error)) from error
    if not server.stopping:
        what = config_file or ", ".join(f"{name} from {path}" for name, path in models.items())
        click.echo(
            f"serving {what}: grpc://{host}:{server.port}"
            f" {'https' if ssl_config_file else 'http'}://{host}:{server.rest_api_port}"
        )
    server.wait()


def _one_model(root: Path | None, base_path: Path | None, name: str | None) -> dict[str, Path]:
    if root is not None:
        root = root.resolve()
        return {name or root.name: root}
    if base_path is not None:
        return {name or "default": base_path.resolve()}
    raise UserError(
        "MODEL_ROOT: missing; give a directory that holds a directory per version, or"
        " --model_config_file"
    )


def _channel_arguments(text: str) -> dict[str, int | str]:
    """The settings of `a=1,b=c`; those that read as whole numbers are numbers."""
    arguments: dict[str, int | str] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not (name and equals):
            raise UserError(f"grpc_channel_arguments: {part} is not of the form name=value")
        is_number = re.fullmatch("-?[0-9]+", value) and -(2**31) <= int(value) < 2**31
        arguments[name] = int(value) if is_number else value
    return arguments


def _batching(enabled: bool, path: Path | None) -> Any:
    if not enabled:
        if path is not None:
            raise UserError(
                "server_options.batching_parameters_file is set without setting"
                " server_options.enable_batching to true."
            )
        return None
    from tfrec.serving.batching import BatchingParameters, read_batching_parameters

    return read_batching_parameters(path) if path else BatchingParameters()


def _monitoring_path(path: Path | None) -> str | None:
    from tfrec.serving.monitoring import read_monitoring_config

    return read_monitoring_config(path) if path else None


def _ssl(path: Path | None) -> Any:
    if path is None:
        return None
    from tfrec.serving.tls import read_ssl_config

    return read_ssl_config(path)
