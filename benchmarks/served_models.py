"""A small model for servers to be tried with, and the server in a process of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import tensorflow as tf

MODEL = "telling"


class Server(NamedTuple):
    """A running `tfrec serve`."""

    process: psutil.Popen
    grpc_port: int
    rest_port: int


@contextmanager
def serving(base_path: Path, *flags: str) -> Iterator[Server]:
    """Starts the server on free ports; ends it, if it still runs."""
    command = [sys.executable, "-m", "tfrec.cli.main", "serve", str(base_path)]
    ports = ("--port=0", "--rest_api_port=0")
    held = {"TF_NUM_INTEROP_THREADS": "8"}  # A request that is held takes one of these.
    with psutil.Popen(
        [*command, *ports, *flags], stdout=subprocess.PIPE, text=True, env={**os.environ, **held}
    ) as process:
        try:
            line = next(line for line in process.stdout if "grpc://" in line)
            grpc_port, rest_port = map(int, re.findall(r":(\d+)", line))
            yield Server(process, grpc_port, rest_port)
        finally:
            if process.poll() is None:
                process.kill()


def write_version(base_path: Path, version: int) -> None:
    """Writes a version whose answers tell its number, whole at once."""
    model = _Telling(version)
    signatures = {
        "serving_default": model.tell,
        "mixed": model.mixed,
        "held": model.held,
        "classify": model.classify,
        "regress": model.regress,
    }
    partial = base_path / f"partial-{version}"
    tf.saved_model.save(model, str(partial), signatures=signatures)
    partial.rename(base_path / str(version))


class _Telling(tf.Module):
    """Tells its version twice, from two variables; takes every type, and time until a file is."""

    def __init__(self, version: int) -> None:
        super().__init__()
        self.versions = [tf.Variable(version, dtype=tf.int64) for _ in range(2)]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def tell(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        zeros = tf.zeros_like(x, tf.int64)
        return {"first": zeros + self.versions[0], "second": zeros + self.versions[1]}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name="name"),
            tf.TensorSpec([None], tf.int64, name="count"),
            tf.TensorSpec([None, 2], tf.float64, name="weights"),
            tf.TensorSpec([None], tf.bool, name="wanted"),
        ]
    )
    def mixed(
        self, name: tf.Tensor, count: tf.Tensor, weights: tf.Tensor, wanted: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        return {
            "greeting": tf.strings.join(["hello ", name]),
            "name_bytes": tf.expand_dims(name, 1),
            "doubled": 2 * count,
            "total": tf.reduce_sum(weights, axis=1),
            "unwanted": tf.logical_not(wanted),
        }

    @tf.function(
        input_signature=[
            tf.TensorSpec([], tf.string, name="begun"),
            tf.TensorSpec([], tf.string, name="until"),
        ]
    )
    def held(self, begun: tf.Tensor, until: tf.Tensor) -> dict[str, tf.Tensor]:
        tf.io.write_file(begun, "")
        looks = tf.zeros([], tf.int64)
        while tf.size(tf.io.matching_files(until)) == 0:
            looks += 1
        return {"looks": looks}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def classify(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        x = _parse(inputs)
        return {
            "classes": tf.tile([["low", "high"]], [tf.shape(x)[0], 1]),
            "scores": tf.stack([1 - x, x], axis=1),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def regress(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"outputs": _parse(inputs)}


def _parse(examples: tf.Tensor) -> tf.Tensor:
    return tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([], tf.float32, 0.0)})["x"]
