"""`tfrec serve`: the embedded model server."""

import signal
import threading
from pathlib import Path

import click

from tfrec.errors import UserError


@click.command()
@click.argument("model_root", required=False, type=click.Path(path_type=Path))
@click.option("--port", default=8500, show_default=True, help="gRPC port; 0 picks a free one.")
@click.option("--rest_api_port", default=8501, show_default=True, help="REST port, likewise.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--model_name", help="Name to serve the model under; its directory's by default.")
@click.option("--model_base_path", type=click.Path(path_type=Path), help="Same as MODEL_ROOT.")
def serve(
    model_root: Path | None,
    port: int,
    rest_api_port: int,
    host: str,
    model_name: str | None,
    model_base_path: Path | None,
) -> None:
    """Serve a model root as TensorFlow Serving does, over gRPC and REST.

    MODEL_ROOT holds a directory per version; new ones are picked up while running.

    \b
    Example:
      tfrec serve serving/complete_journey
    """
    root = model_root or model_base_path
    if root is None:
        raise UserError("MODEL_ROOT: missing; give a directory that holds a directory per version")
    from tfrec.serving.server import ModelServer

    name = model_name or root.resolve().name
    server = ModelServer({name: root}, host=host, port=port, rest_api_port=rest_api_port)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Stopping takes locks that the interrupted code may hold, so another thread does it.
        signal.signal(number, lambda *_: threading.Thread(target=server.stop).start())
    server.start()
    click.echo(
        f"serving {name} from {root}: grpc://{host}:{server.port} "
        f"http://{host}:{server.rest_api_port}"
    )
    server.wait()
