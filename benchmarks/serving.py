"""Measures `tfrec serve` against servers written by hand, and a recommendation at the server.

- gRPC: beside gRPC's threads with signatures that are called as functions (the plain design). Both
  answer the same small model to the same 8 connections.
- REST: beside a bare uvicorn handler for that one model, which checks nothing.
- `recommend`: one shopper after the other, over the whole catalogue of the demo's newest version.
  Time counts from a request's bytes to the answer's; the graph's share of it is that of the run.

Servers and callers are processes of their own. The sides take turns, so that another program's load
falls on all of them; figures are medians over the turns. Run `make demo` first.
"""

import tfrec  # noqa: F401  it sets TensorFlow's environment, so it comes first

# isort: split
import json
import multiprocessing
import re
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import psutil
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from tfrec.serving.address import Address
from tfrec.serving.grpc_transport import predict_request
from tfrec.serving.load_connections import GrpcConnection
from tfrec.serving.load_test import OK, Plan, run_load
from tfrec.stages.artifact import Artifact
from tfrec.stages.load_test import Asked, load_test

MODEL, FLOATS, CONNECTIONS = "small", 8, 8
BY_HAND = Path(__file__).with_name("servers_by_hand.py")
BUNDLES, PREPARED = Path("serving/complete_journey"), Path("runs/complete_journey/prepare")

EPILOGUE = """
\b
Examples:
  python benchmarks/serving.py
  python benchmarks/serving.py --quick
"""


class Turn(NamedTuple):
    """What one side did in one turn."""

    per_second: float
    cpu_seconds: float


@click.command(help=__doc__.partition("\n")[0], epilog=EPILOGUE)
@click.option("--quick", is_flag=True, help="Short turns only, for a look.")
def main(quick: bool) -> None:
    rounds, seconds = (8, 0.5) if quick else (40, 1.0)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        version = write_model(folder / MODEL / "1")
        ours = serving(
            *("-m", "tfrec.cli.main", "serve", version.parent, "--port=0", "--rest_api_port=0")
        )
        process, line = stack.enter_context(ours)
        grpc_port, rest_port = re.findall(r":(\d+)", line)[-2:]
        eager, eager_port = stack.enter_context(serving(BY_HAND, "eager", version))
        bare, bare_port = stack.enter_context(serving(BY_HAND, "bare", version))
        callers = stack.enter_context(ProcessPoolExecutor(1, multiprocessing.get_context("spawn")))
        over_grpc = {
            "tfrec serve": (process, grpc_port),
            "threads, eager calls": (eager, eager_port),
        }
        over_rest = {"tfrec serve": (process, rest_port), "bare uvicorn": (bare, bare_port)}
        first = compare(callers, "grpc", over_grpc, rounds, seconds)
        second = compare(callers, "http", over_rest, rounds, seconds)
        recommended = time_recommendations(callers, 3.0 if quick else 20.0)
    (grpc_rate, grpc_cpu), (rest_rate, _) = first, second
    result = {
        "grpc_vs_eager": grpc_rate,
        "cpu_per_request_vs_eager": grpc_cpu,
        "rest_vs_bare": rest_rate,
        **recommended,
    }
    print(json.dumps({name: round(value, 3) for name, value in result.items()}))


def write_model(version: Path) -> Path:
    """A network of two layers, small enough that the servers' own work counts."""
    weights = tf.Variable(tf.random.stateless_normal([FLOATS, 32], [1, 2]))
    last = tf.Variable(tf.random.stateless_normal([32, 4], [3, 4]))
    module = tf.Module()
    module.variables_of_layers = [weights, last]

    @tf.function(input_signature=[tf.TensorSpec([None, FLOATS], tf.float32, name="x")])
    def score(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": tf.matmul(tf.nn.relu(tf.matmul(x, weights)), last)}

    tf.saved_model.save(module, str(version), signatures={"serving_default": score})
    return version


@contextmanager
def serving(*arguments: object) -> Iterator[tuple[psutil.Popen, str]]:
    """Starts a server; gives its process and the first line that it prints."""
    command = [sys.executable, *map(str, arguments)]
    with psutil.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.terminate()


def compare(
    callers: Executor,
    scheme: str,
    sides: dict[str, tuple[psutil.Popen, str]],
    rounds: int,
    seconds: float,
) -> tuple[float, float]:
    """Lets both sides answer in turn.

    Returns:
      Ours over the other: requests a second, and the server's CPU seconds per request.
    """
    turns: dict[str, list[Turn]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, (process, port) in sides.items():
            turn = take_turn(callers, scheme, process, port, seconds)
            if number:  # The first is to warm up.
                turns[name].append(turn)
    table = Table(scheme, "requests/s", "lowest", "highest", "CPU µs a request")
    for name, taken in turns.items():
        rates = [turn.per_second for turn in taken]
        cpu = statistics.median(turn.cpu_seconds for turn in taken) * 1e6
        figures = statistics.median(rates), min(rates), max(rates)
        table.add_row(name, *(f"{figure:,.0f}" for figure in (*figures, cpu)))
    Console(width=100).print(table)
    ours, other = turns.values()
    pairs = list(zip(ours, other, strict=True))
    return (
        statistics.median(one.per_second / two.per_second for one, two in pairs),
        statistics.median(one.cpu_seconds / two.cpu_seconds for one, two in pairs),
    )


def take_turn(
    callers: Executor, scheme: str, process: psutil.Popen, port: str, seconds: float
) -> Turn:
    before = process.cpu_times()
    answered, took = callers.submit(call, scheme, port, seconds).result()
    after = process.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    return Turn(answered / took, cpu / answered)


def call(scheme: str, port: str, seconds: float) -> tuple[int, float]:
    """Asks on 8 connections, each as soon as it has its answer: how often, in how many seconds."""
    x = np.arange(FLOATS, dtype=np.float32)[np.newaxis] / 4
    address = Address.parse(f"{scheme}://127.0.0.1:{port}")
    if scheme == "grpc":
        connections = [GrpcConnection(address) for _ in range(CONNECTIONS)]
        request = predict_request(MODEL, "serving_default", {"x": x}).SerializeToString()
    else:
        connections = [KeptAlive(address, MODEL) for _ in range(CONNECTIONS)]
        request = json.dumps({"instances": x.tolist()}).encode()
    try:
        result = run_load(connections, [request], Plan(seconds))
    finally:
        for connection in connections:
            connection.close()
    assert set(result.codes) == {OK}, result.by_code()
    return len(result.codes), result.seconds


class KeptAlive:
    """A connection over which one request is made again and again, at little cost."""

    def __init__(self, address: Address, model: str) -> None:
        self._socket = socket.create_connection((address.host, address.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = f"POST /v1/models/{model}:predict HTTP/1.1\r\nhost: {address}\r\n"

    def __call__(self, body: bytes, timeout_seconds: float) -> str:
        head = f"{self._head}content-length: {len(body)}\r\n\r\n".encode()
        self._socket.sendall(head + body)
        reply = self._socket.recv(65536)
        while (end := reply.find(b"\r\n\r\n")) < 0 or len(reply) < end + 4 + _length(reply):
            reply += self._socket.recv(65536)
        return OK if reply.startswith(b"HTTP/1.1 200") else reply[9:12].decode()

    def close(self) -> None:
        self._socket.close()


def _length(reply: bytes) -> int:
    return int(re.search(rb"content-length: (\d+)", reply)[1])


def time_recommendations(callers: Executor, seconds: float) -> dict[str, float]:
    """Asks for one shopper after the other, with nobody else asking."""
    version = max(
        (path for path in BUNDLES.iterdir() if path.name.isdigit()), key=lambda path: int(path.name)
    )
    with serving(BY_HAND, "timed", version) as (server, port):
        for turn_seconds in (seconds / 4, seconds):  # The first is to warm up.
            result = callers.submit(recommend, version.parent.name, port, turn_seconds).result()
            print("", file=server.stdin, flush=True)
            whole, graph = np.array(json.loads(server.stdout.readline())).T * 1000
    figures = {
        "recommend_p50_ms": float(np.percentile(whole, 50)),
        "recommend_p99_ms": float(np.percentile(whole, 99)),
        "outside_graph_share": float(1 - graph.sum() / whole.sum()),
    }
    print(
        f"recommend, {len(whole):,} answers: graph p50 {np.median(graph):.2f} ms,"
        f" server p50 {np.median(whole):.2f} ms, client p50 {np.median(result):.2f} ms"
    )
    return figures


def recommend(model: str, port: str, seconds: float) -> np.ndarray:
    """What it takes at the client, in milliseconds."""
    asked = Asked(f"grpc://127.0.0.1:{port}", model, "recommend", 10)
    return load_test(asked, Artifact(PREPARED), Plan(seconds), 1).milliseconds


if __name__ == "__main__":
    main()
