"""Beam's job server for Flink: the Java process that turns our pipelines into Flink's jobs."""

import contextlib
import logging
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import apache_beam
import grpc
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    JobServerOptions,
    PipelineOptions,
    PortableOptions,
)
from apache_beam.runners.portability.flink_runner import FlinkJarJobServer

from tfrec.errors import UserError

_log = logging.getLogger(__name__)

_STOP_SECONDS = 10
_POLL_SECONDS = 0.5

_OPENED = (
    "java.io", "java.lang", "java.lang.reflect", "java.net", "java.nio", "java.text", "java.time",
    "java.util", "java.util.concurrent", "java.util.concurrent.atomic",
    "java.util.concurrent.locks", "sun.nio.ch",
)  # fmt: skip

JVM_OPTIONS = [
    "-XX:+IgnoreUnrecognizedVMOptions",
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
]
"""Flink reads private fields of these packages, which Java closes from version 16 on.

Java 8 knows no such option, and is told to pass over it.
"""


@contextlib.contextmanager
def flink_job_server(options: PipelineOptions) -> Iterator[None]:
    """Lets a pipeline's Flink runner have a job server, as long as the context lasts.

    A server of our own is started unless the options name one; they are changed to name it. What
    it says goes to a file, which is kept when the pipeline fails.

    Args:
      options: of a pipeline for the `FlinkRunner`.

    Raises:
      UserError: if Java or the server's jar is missing, or the server does not start.
    """
    if options.view_as(PortableOptions).job_endpoint:
        yield
        return
    flink = options.view_as(FlinkRunnerOptions)
    if not flink.flink_job_server_jar:
        flink.flink_job_server_jar = str(flink_job_server_jar(flink.flink_version))
    if flink.flink_submit_uber_jar:
        yield
        return
    with (
        tempfile.TemporaryDirectory(prefix="tfrec-flink-") as staged,
        _log_file() as log,
        _started(options, staged, log) as endpoint,
    ):
        options.view_as(PortableOptions).job_endpoint = endpoint
        yield


def flink_job_server_jar(flink_version: str) -> Path:
    """Finds the job server in Maven's local repository; Maven fetches it when it is not there.

    Args:
      flink_version: major and minor version of Flink, e.g. `1.18`.

    Returns:
      Path of the jar that belongs to the installed Beam.

    Raises:
      UserError: if it must be fetched and Maven is missing or cannot get it.
    """
    artifact = f"beam-runners-flink-{flink_version}-job-server"
    version = apache_beam.__version__
    folder = Path.home() / ".m2/repository/org/apache/beam" / artifact / version
    jar = folder / f"{artifact}-{version}.jar"
    if not jar.exists():
        _fetch(f"org.apache.beam:{artifact}:{version}", jar)
    return jar


def _fetch(coordinates: str, jar: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise UserError(
            f"data.beam.flink_job_server_jar: not given, and no `mvn` on the path to fetch "
            f"{coordinates}; install Maven, or give the path of the jar"
        )
    _log.info("fetching %s from Maven Central", coordinates)
    command = [maven, "--quiet", "--batch-mode", "dependency:get", "-Dtransitive=false"]
    done = subprocess.run(
        [*command, f"-Dartifact={coordinates}"], capture_output=True, text=True, check=False
    )
    if not jar.exists():
        errors = [line for line in done.stdout.splitlines() if "[ERROR]" in line]
        reason = errors[0].partition("[ERROR] ")[2] if errors else f"it is not at {jar}"
        raise UserError(
            f"data.beam.flink_job_server_jar: not given, and Maven did not get {coordinates}: "
            f"{reason}; check the connection, or give the path of the jar"
        )


@contextlib.contextmanager
def _log_file() -> Iterator[Path]:
    """A new file, which outlives the context only when that ends with an error."""
    with tempfile.NamedTemporaryFile(prefix="tfrec-flink-", suffix=".log", delete=False) as file:
        log = Path(file.name)
    try:
        yield log
    except Exception:
        _log.error("Flink's job server wrote to %s", log)
        raise
    log.unlink()


@contextlib.contextmanager
def _started(options: PipelineOptions, staged: str, log: Path) -> Iterator[str]:
    """Runs the server on a free port and yields its address once it answers."""
    server = options.view_as(JobServerOptions)
    server.artifacts_dir = server.artifacts_dir or staged
    server.job_server_jvm_properties = [*JVM_OPTIONS, *server.job_server_jvm_properties]
    launcher = server.job_server_java_launcher
    if shutil.which(launcher) is None:
        raise UserError(
            f"data.beam.runner: FlinkRunner needs Java, and there is no {launcher!r}; install a "
            "Java runtime, or give job_server_java_launcher or a running server's job_endpoint"
        )
    command, endpoint = FlinkJarJobServer(options).subprocess_cmd_and_endpoint()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C ends the pipeline, which then ends its server.
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, endpoint, options.view_as(PortableOptions), log)
        yield endpoint
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(
    process: subprocess.Popen[bytes], endpoint: str, options: PortableOptions, log: Path
) -> None:
    deadline = time.monotonic() + options.job_server_timeout
    with grpc.insecure_channel(endpoint) as channel:
        ready = grpc.channel_ready_future(channel)
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(grpc.FutureTimeoutError):
                return ready.result(timeout=_POLL_SECONDS)
    said = log.read_text(errors="replace").strip().splitlines()
    status = process.poll()
    how = "did not answer in time" if status is None else f"ended with status {status}"
    last = f": {said[-1]}" if said else ""
    raise UserError(f"data.beam.runner: Flink's job server {how}{last}; see {log}")
