"""Swaps, kills and stops `tfrec serve` under load, and counts what becomes of requests.

- swaps: versions replace each other while callers ask over gRPC and REST, each as soon as it has
  its answer. Two variables of a version tell its number, and over gRPC the server tells it as well.
  An answer in which these differ is mixed; one older than the caller's last is stale.
- killed: SIGKILL while requests run. Each has to end at once, with an error of its protocol.
- drained: SIGTERM while requests run. They have to be answered; new ones are refused.

Requests that run do so until a file is there, so nothing here depends on the machine's speed.

Ends with a line of JSON. The exit status is 1 where something failed that should not.
"""

import tfrec  # noqa: F401  it sets TensorFlow's environment, so it comes first

# isort: split
import json
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import grpc
import httpx
import numpy as np
from served_models import MODEL, Server, serving, write_version
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tfrec.serving.grpc_transport import predict_request

CALLERS, ROWS = 4, 3
DEADLINE_SECONDS = 60.0

Ask = Callable[[str, dict[str, np.ndarray]], dict[str, list]]
"""Asks a signature; gives its outputs, and over gRPC the version that the server tells."""


@click.command(help=__doc__.partition("\n")[0])
@click.option("--quick", is_flag=True, help="Fewer swaps and callers' seconds, for a look.")
def main(quick: bool) -> None:
    swaps, seconds = (3, 0.5) if quick else (10, 3.0)
    with tempfile.TemporaryDirectory() as folder:
        base_path = Path(folder, MODEL)
        base_path.mkdir()
        write_version(base_path, 1)
        with serving(base_path, "--file_system_poll_wait_seconds=0.1") as server:
            swapped = swap(server, base_path, swaps, seconds)
            drained = drain(server)
        with serving(base_path) as server:
            killed = kill(server)
    result = {"swaps": swapped, "killed": killed, "drained": drained}
    print(json.dumps(result))
    wrong = [swapped[name] for name in ("mixed", "stale", "failed")]
    wrong += [killed["unclean"], drained["lost"], drained["exit_status"]]
    sys.exit(any(wrong) or swapped["swaps"] != swaps or not drained["refused"])


def swap(server: Server, base_path: Path, swaps: int, seconds: float) -> dict[str, float]:
    """Replaces the version again and again, with a pause after each, while callers ask."""
    counts, asking = Counter[str](), threading.Event()
    asking.set()
    versions = _Versions()
    with ThreadPoolExecutor(2 * CALLERS) as threads:
        work = [
            threads.submit(_ask_all_along, connect(server), asking, versions)
            for connect in [over_grpc, over_rest] * CALLERS
        ]
        for version in range(2, swaps + 2):
            time.sleep(seconds)
            write_version(base_path, version)
            counts["swaps"] += versions.wait_for(version)
            shutil.rmtree(base_path / str(version - 1))
        time.sleep(seconds)
        asking.clear()
        for task in work:
            counts.update(task.result())
    return {name: counts[name] for name in ("swaps", "answers", "mixed", "stale", "failed")}


def kill(server: Server) -> dict[str, float]:
    """Ends the server while requests run that would never end."""
    with _Running(server) as running:
        server.process.kill()
        killed_at = time.monotonic()
    ends = Counter(end for end, _ in running.ends)
    unclean = sum(n for end, n in ends.items() if end not in ("UNAVAILABLE", "ConnectionError"))
    slowest = max(ended_at for _, ended_at in running.ends) - killed_at
    return {"requests": sum(ends.values()), "unclean": unclean, "seconds": round(slowest, 2)}


def drain(server: Server) -> dict[str, float]:
    """Stops the server while requests run, and asks for more."""
    with _Running(server) as running:
        server.process.send_signal(signal.SIGTERM)
        refused = sum(_refuses(connect(server)) for connect in (over_grpc, over_rest))
        running.release()
    lost = sum(end != "OK" for end, _ in running.ends)
    status = server.process.wait(DEADLINE_SECONDS)
    return {"answered": len(running.ends) - lost, "lost": lost, "refused": refused,
            "exit_status": status}  # fmt: skip


def _refuses(ask: Ask) -> bool:
    """Whether requests are refused before the deadline, while others run."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        try:
            ask("serving_default", {"x": np.zeros(1, np.float32)})
        except (grpc.RpcError, httpx.TransportError) as error:
            # gRPC cancels what comes in on a connection that it is about to close.
            return _name(error) in ("UNAVAILABLE", "CANCELLED", "ConnectionError")
        time.sleep(0.05)
    return False


def over_grpc(server: Server) -> Ask:
    """A caller with a connection of its own."""
    channel = grpc.insecure_channel(
        f"127.0.0.1:{server.grpc_port}", [("grpc.use_local_subchannel_pool", 1)]
    )
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def ask(signature: str, inputs: dict[str, np.ndarray]) -> dict[str, list]:
        request = predict_request(MODEL, signature, {n: _bytes(a) for n, a in inputs.items()})
        response: predict_pb2.PredictResponse = stub.Predict(request, timeout=DEADLINE_SECONDS)
        values = {name: list(proto.int64_val) for name, proto in response.outputs.items()}
        return {**values, "told": [response.model_spec.version.value]}

    return ask


def _bytes(array: np.ndarray) -> np.ndarray:
    return array.astype(bytes).astype(object) if array.dtype.kind == "U" else array


def over_rest(server: Server) -> Ask:
    """The same over REST, where the server does not tell the version."""
    url = f"http://127.0.0.1:{server.rest_port}/v1/models/{MODEL}:predict"
    client = httpx.Client(timeout=DEADLINE_SECONDS)

    def ask(signature: str, inputs: dict[str, np.ndarray]) -> dict[str, list]:
        columns = {name: array.tolist() for name, array in inputs.items()}
        response = client.post(url, json={"signature_name": signature, "inputs": columns})
        response.raise_for_status()
        outputs = response.json()["outputs"]
        return outputs if isinstance(outputs, dict) else {"output": [outputs]}

    return ask


class _Versions:
    """The newest version that an answer was of."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._newest = 0

    def saw(self, version: int) -> None:
        if version > self._newest:
            with self._changed:
                self._newest = max(self._newest, version)
                self._changed.notify_all()

    def wait_for(self, version: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._newest >= version, DEADLINE_SECONDS)


def _ask_all_along(ask: Ask, asking: threading.Event, versions: _Versions) -> Counter[str]:
    last, counts = 0, Counter[str]()
    while asking.is_set():
        try:
            answer = ask("serving_default", {"x": np.zeros(ROWS, np.float32)})
        except (grpc.RpcError, httpx.HTTPError) as error:
            print(f"failed: {error}", file=sys.stderr)
            counts["failed"] += 1
            continue
        told = {version for values in answer.values() for version in values}
        counts["answers"] += 1
        counts["mixed"] += len(told) > 1
        counts["stale"] += max(told) < last
        last = max(told)
        versions.saw(last)
    return counts


class _Running:
    """Requests that run in the graph while the block runs; waits for their ends after it.

    Attributes:
      ends: for each request OK or its error's name, and when it ended.
    """

    def __init__(self, server: Server) -> None:
        self.ends: list[tuple[str, float]] = []
        self._server = server
        self._threads = ThreadPoolExecutor(CALLERS)
        self._work: list[Future[None]] = []

    def __enter__(self) -> "_Running":
        self._folder = tempfile.TemporaryDirectory()
        self._released = Path(self._folder.name, "released")
        for number, connect in enumerate([over_grpc, over_rest] * (CALLERS // 2)):
            path = self._released.with_name(f"begun-{number}")
            self._work.append(self._threads.submit(self._ask, connect(self._server), path))
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self._begun() < CALLERS and time.monotonic() < deadline:
            time.sleep(0.05)
        return self

    def release(self) -> None:
        """Lets the requests end."""
        self._released.touch()

    def __exit__(self, *error: Any) -> None:
        self._threads.shutdown()
        self._folder.cleanup()
        for task in self._work:
            task.result()

    def _begun(self) -> int:
        return sum(1 for _ in Path(self._folder.name).iterdir())

    def _ask(self, ask: Ask, begun: Path) -> None:
        paths = {"begun": begun, "until": self._released}
        try:
            ask("held", {name: np.array(str(path)) for name, path in paths.items()})
            end = "OK"
        except (grpc.RpcError, httpx.HTTPError) as error:
            end = _name(error)
        self.ends.append((end, time.monotonic()))


def _name(error: Exception) -> str:
    if isinstance(error, grpc.RpcError):
        return error.code().name
    return "ConnectionError" if isinstance(error, httpx.TransportError) else str(error)


if __name__ == "__main__":
    main()
