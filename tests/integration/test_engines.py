"""Preparation gives the same artefact on every engine."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import tensorflow as tf

from tfrec.config import validate
from tfrec.data.config import DataConfig
from tfrec.data.flink import JVM_OPTIONS, flink_job_server_jar
from tfrec.data.prepared import PreparedData
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.stages.artifact import Artifact
from tfrec.stages.prepare import prepare
from tfrec.training.ports import reserve_port

DEADLINE_SECONDS = 300
# Workers import TensorFlow anew for every pipeline.
pytestmark = pytest.mark.timeout(1800)


def rows_by_folder(artifact: Path) -> dict[str, Counter[str]]:
    """All rows below a directory, decoded: folder and kind of file -> row -> how often."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for file in artifact.rglob("*.*"):
        if file.suffix in READERS and file.name != "manifest.json":
            found[str(file.parent.relative_to(artifact) / f"*{file.suffix}")].update(
                READERS[file.suffix](file)
            )
    return dict(found)


def read_examples(file: Path) -> Iterator[str]:
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        values = {name: getattr(of, of.WhichOneof("kind") or "int64_list").value
                  for name, of in features.items()}  # fmt: skip
        yield repr([(name, [in_print(value) for value in values[name]]) for name in sorted(values)])


def read_parquet(file: Path) -> Iterator[str]:
    for row in pyarrow.parquet.read_table(file).to_pylist():
        yield repr({name: in_print(value) for name, value in row.items()})


def in_print(value: object) -> object:
    """Engines may add floats in another order."""
    return f"{value:.5g}" if isinstance(value, float) else value


def read_lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


READERS = {
    ".tfrecord": read_examples,
    ".parquet": read_parquet,
    ".jsonl": read_lines,
    ".json": read_lines,
    ".pbtxt": read_lines,
}


def vocabularies(artifact: Path) -> dict[str, list[str]]:
    """Name of each vocabulary of the transform graph -> its values in their order."""
    return {file.name: read_lines(file) for file in artifact.glob("transform/**/assets/*")}


@contextlib.contextmanager
def server(command: list[str], port: int, log: Path) -> Iterator[str]:
    """Runs a server in a process of its own and yields its address."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # The worker pool starts workers of its own, by the name `python`.
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 0.2):
                break
        else:
            raise AssertionError(f"{command} did not start: {log.read_text()}")
        yield f"localhost:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def beam_server(module: str, port_option: str, log: Path) -> contextlib.AbstractContextManager[str]:
    port = reserve_port()
    return server([sys.executable, "-m", module, f"--{port_option}={port}"], port, log)


@pytest.fixture(scope="module")
def job_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Options for a job service in a process of its own."""
    log = tmp_path_factory.mktemp("jobs") / "log"
    with beam_server(
        "apache_beam.runners.portability.local_job_service_main", "job_port", log
    ) as jobs:
        # This job service takes the timeout for the longest that a pipeline may run.
        yield {"runner": "PortableRunner", "job_endpoint": jobs, "job_server_timeout": 1800}


@pytest.fixture(scope="module")
def worker_pool(
    job_service: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """Options for workers in processes of their own."""
    log = tmp_path_factory.mktemp("workers") / "log"
    with beam_server("apache_beam.runners.worker.worker_pool_main", "service_port", log) as pool:
        yield {**job_service, "environment_type": "EXTERNAL", "environment_config": pool}


@pytest.fixture(scope="module")
def three_workers(job_service: dict[str, Any]) -> dict[str, Any]:
    """Options for three workers in this process, which need not import TensorFlow again."""
    return {**job_service, "environment_type": "LOOPBACK", "direct_num_workers": 3}


@pytest.fixture(scope="module")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Options for a Flink inside the job server's own process."""
    if shutil.which("java") is None:
        pytest.skip("Flink needs Java, and there is none")
    options = {"runner": "FlinkRunner", "environment_type": "LOOPBACK"}
    try:
        jar = flink_job_server_jar("1.18")
        yield {**options, "flink_version": "1.18", "flink_job_server_jar": str(jar)}
    except UserError as error:
        folder, port = tmp_path_factory.mktemp("flink"), reserve_port()
        command = job_server_of_modules(folder, port, str(error))
        with server(command, port, folder / "log") as endpoint:
            yield {**options, "job_endpoint": endpoint}


def job_server_of_modules(folder: Path, port: int, why: str) -> list[str]:
    """The command of a job server put together from Beam's modules.

    Some mirrors of Maven Central lack the ready-made jar of the installed Beam. This is a later
    Beam's server, which speaks the same protocol.
    """
    if shutil.which("mvn") is None:
        pytest.skip(f"no job server for Flink: {why}")
    (folder / "pom.xml").write_text(
        """<project><modelVersion>4.0.0</modelVersion>
        <groupId>tfrec</groupId><artifactId>flink</artifactId><version>1</version><dependencies>
        <dependency><groupId>org.apache.beam</groupId><artifactId>beam-runners-flink-1.19</artifactId>
        <version>2.62.0</version></dependency></dependencies></project>"""
    )
    classpath = folder / "classpath"
    maven = ["mvn", "--quiet", "--batch-mode", "dependency:build-classpath"]
    maven += [f"-Dmdep.outputFile={classpath}"]
    done = subprocess.run(maven, cwd=folder, capture_output=True, text=True, check=False)
    if not classpath.exists():
        pytest.skip(f"no job server for Flink: {why}; nor of its modules: {done.stdout}")
    # The slower compiler is not worth its time to a server that lives for a minute.
    return [
        *("java", "-XX:TieredStopAtLevel=1", *JVM_OPTIONS, "-cp", classpath.read_text()),
        *("org.apache.beam.runners.flink.FlinkJobServerDriver", f"--job-port={port}"),
        *("--artifact-port=0", "--expansion-port=0", f"--artifacts-dir={folder}"),
        "--flink-master=[local]",
    ]


@pytest.fixture(scope="module")
def three_slots(flink: dict[str, Any]) -> dict[str, Any]:
    """Options for three of each step at a time."""
    return {**flink, "parallelism": 3}


@pytest.fixture(params=["worker_pool", "three_workers", "flink", "three_slots"])
def engine(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Options of an engine other than the default."""
    return request.getfixturevalue(request.param)


def test_every_engine_prepares_the_same_rows_and_counts_the_same(
    engine: dict[str, Any],
    prepared: PreparedData,
    data_config: DataConfig,
    spec: FeatureSpec,
    tmp_path: Path,
) -> None:
    config = validate(DataConfig, {**data_config.model_dump(), "beam": engine}, "data")

    artifact = prepare(config, spec, tmp_path / "prepare")

    here, there = rows_by_folder(prepared.path), rows_by_folder(artifact.path)
    assert there.keys() == here.keys()
    for folder, rows in here.items():
        assert there[folder] == rows, folder
    assert vocabularies(artifact.path) == vocabularies(prepared.path)
    local = Artifact(prepared.path).manifest
    assert artifact.manifest.summary == local.summary
    assert artifact.manifest.digest == local.digest
    rejected = sum(sum(reasons.values()) for reasons in local.summary["rejected"].values())
    assert there["rejects/*.jsonl"].total() == rejected > 0
