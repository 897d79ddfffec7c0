"""Swaps, kills and stops `tfrec serve` under load, and counts what becomes of requests.

- swaps: versions replace each other while callers ask over gRPC and REST, each as soon as it has
  its answer. Two variables of a version tell its number, and over gRPC the server tells it as well.
  An answer in which these differ is mixed; one older than the caller's last is stale.
  its answer. Two variables of a version tell its number, and over gRPC the server tells it too.
- drained: SIGTERM while requests run. They have to be answered; new ones are refused.

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
from concurrent.futures import ThreadPoolExecutor
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
FOREVER = 10**15

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
    """Ends the server while requests run that would take for ever."""
    with _Running(server, FOREVER) as running:
        server.process.kill()
        killed_at = time.monotonic()
    ends = Counter(end for end, _ in running.ends)
    unclean = sum(n for end, n in ends.items() if end not in ("UNAVAILABLE", "ConnectionError"))
    slowest = max(ended_at for _, ended_at in running.ends) - killed_at
    return {"requests": sum(ends.values()), "unclean": unclean, "seconds": round(slowest, 2)}


def drain(server: Server) -> dict[str, float]:
    """Stops the server while requests run, and asks for more."""
    steps, refused = _steps_of_a_second(server), 0
    with _Running(server, steps) as running:
        server.process.send_signal(signal.SIGTERM)
        for connect in (over_grpc, over_rest):
            refused += _refuses(connect(server), running)
    lost = sum(end != "OK" for end, _ in running.ends)
    status = server.process.wait(DEADLINE_SECONDS)
    return {"answered": len(running.ends) - lost, "lost": lost, "refused": refused,
            "exit_status": status}  # fmt: skip


def _refuses(ask: Ask, running: "_Running") -> bool:
    """Whether a request is refused before all that run have ended."""
    while len(running.ends) < CALLERS:
        try:
            ask("serving_default", {"x": np.zeros(1, np.float32)})
        except (grpc.RpcError, httpx.TransportError) as error:
            return _name(error) in ("UNAVAILABLE", "ConnectionError")
        time.sleep(0.05)
    return False


def _steps_of_a_second(server: Server) -> int:
    ask, steps = over_grpc(server), 1000
    ask("slow", {"steps": np.array(steps)})
    while True:
        steps, started = 2 * steps, time.monotonic()
        ask("slow", {"steps": np.array(steps)})
        if time.monotonic() - started > 0.7:
            return steps


def over_grpc(server: Server) -> Ask:
    """A caller with a connection of its own."""
    channel = grpc.insecure_channel(
        f"127.0.0.1:{server.grpc_port}", [("grpc.use_local_subchannel_pool", 1)]
    )
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def ask(signature: str, inputs: dict[str, np.ndarray]) -> dict[str, list]:
        request = predict_request(MODEL, signature, inputs)
        response: predict_pb2.PredictResponse = stub.Predict(request, timeout=DEADLINE_SECONDS)
        values = {name: list(proto.int64_val) for name, proto in response.outputs.items()}
        return {**values, "told": [response.model_spec.version.value]}

    return ask


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
    """Requests that run while the block runs; waits for their ends after it.

    Attributes:
      ends: for each request OK or its error's name, and when it ended.
    """

    def __init__(self, server: Server, steps: int) -> None:
        self.ends: list[tuple[str, float]] = []
        self._server, self._steps = server, steps
        self._threads = ThreadPoolExecutor(CALLERS)

    def __enter__(self) -> "_Running":
        for connect in [over_grpc, over_rest] * (CALLERS // 2):
            self._threads.submit(self._ask, connect(self._server))
        busy = _busy_seconds(self._server) + 0.2 * CALLERS
        while _busy_seconds(self._server) < busy and not self.ends:  # They run in the graph.
            time.sleep(0.05)
        return self

    def __exit__(self, *error: Any) -> None:
        self._threads.shutdown()

    def _ask(self, ask: Ask) -> None:
        try:
            ask("slow", {"steps": np.array(self._steps)})
            end = "OK"
        except (grpc.RpcError, httpx.HTTPError) as error:
            end = _name(error)
        self.ends.append((end, time.monotonic()))


def _busy_seconds(server: Server) -> float:
    times = server.process.cpu_times()
    return times.user + times.system


def _name(error: Exception) -> str:
    if isinstance(error, grpc.RpcError):
        return error.code().name
    return "ConnectionError" if isinstance(error, httpx.TransportError) else str(error)


if __name__ == "__main__":
    main()
