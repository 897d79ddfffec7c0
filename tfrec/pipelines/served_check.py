"""Whether a bundle can be served: a real server is started on it and asked."""

import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from tfrec.errors import UserError
from tfrec.serving.client import Client
from tfrec.serving.signature import Signature
from tfrec.serving.verify import Answer, Checked, check, read_requests

_CONNECT_SECONDS, _ANSWER_SECONDS, _STOP_SECONDS = 60.0, 120.0, 60.0
_URL = re.compile(r"grpc://\S+")


def check_served(version: Path, timeout_seconds: float = 600) -> list[Checked]:
    """Starts `tfrec serve` on a version and asks it all that is stored with it.

    The server itself runs the warm-up requests before it answers anybody.

    Args:
      version: its directory, below one with the model's name that holds no other version.
      timeout_seconds: how long the server may take to start.

    Returns:
      How its answers compare to what was expected, for each stored signature.

    Raises:
      UserError: if there are no stored requests, or the server cannot load the version; with what
        it says.
    """
    requests = read_requests(version)
    with _serving(version.parent, timeout_seconds) as url, Client(url) as client:
        model = version.parent.name
        ask = partial(_ask, client, model, _signatures(client, model))
        return [check(stored, ask) for stored in requests]


def _signatures(client: Client, model: str) -> dict[str, Signature]:
    """What the available version takes; a busy machine may keep the first calls waiting."""
    deadline = time.monotonic() + _CONNECT_SECONDS
    while True:
        try:
            return client.metadata(model)
        except UserError:
            if time.monotonic() > deadline:
                raise


@contextmanager
def _serving(root: Path, timeout_seconds: float) -> Iterator[str]:
    """Serves a model on free ports; yields the address once it is available."""
    command = [sys.executable, "-m", "tfrec.cli.main", "serve", str(root), "--port=0"]
    command += ["--rest_api_port=0", "--max_num_load_retries=0"]
    with tempfile.TemporaryFile("w+") as errors:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        too_late = threading.Timer(timeout_seconds, server.kill)
        too_late.start()
        try:
            # It prints where it serves once all is loaded and warm; one that fails just ends.
            assert server.stdout is not None
            url = next(filter(None, map(_URL.search, server.stdout)), None)
            if url is None:
                code = server.wait()
                errors.seek(0)
                reason = _reason(errors.read(), code, timeout_seconds)
                raise UserError(f"{root}: cannot be served: {reason}")
            too_late.cancel()
            yield url[0]
        finally:
            too_late.cancel()
            _stop(server)


def _reason(printed: str, code: int, timeout_seconds: float) -> str:
    """Why a server did not start: what it says, but for its log."""
    if code == -signal.SIGKILL:
        return f"it was killed: not ready within {timeout_seconds:g} seconds, or out of memory"
    lines = printed.strip().splitlines() or [f"exit status {code}"]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (told or lines)[-1]


def _stop(server: subprocess.Popen) -> None:
    server.terminate()
    try:
        server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    assert server.stdout is not None
    server.stdout.close()


def _ask(
    client: Client,
    model: str,
    known: Mapping[str, Signature],
    name: str,
    inputs: Mapping[str, np.ndarray],
    outputs: Sequence[str],
) -> Answer:
    """Runs a signature over the wire, which turns strings into text."""
    if name not in known or not known[name].outputs.keys() >= set(outputs):
        return None
    answer = client.predict(model, inputs, signature=name, timeout_seconds=_ANSWER_SECONDS)
    return {output: _as_bytes(answer[output]) for output in outputs}


def _as_bytes(values: np.ndarray) -> np.ndarray:
    if values.dtype != object:
        return values
    encoded = [value.encode() if isinstance(value, str) else value for value in values.ravel()]
    return np.array(encoded, object).reshape(values.shape)
