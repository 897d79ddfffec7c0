import logging
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    JobServerOptions,
    PipelineOptions,
    PortableOptions,
)

from tfrec.data import beam as beams
from tfrec.data.engine import BeamConfig
from tfrec.data.flink import flink_job_server, flink_job_server_jar
from tfrec.errors import UserError

# A job server that speaks Beam's protocol as Flink's does, and runs the pipelines itself.
JOB_SERVER = f"""#!/bin/sh
echo "$@" > "$0.arguments"
while [ "$1" != --job-port ]; do shift; done
exec {sys.executable} -m apache_beam.runners.portability.local_job_service_main --job_port "$2"
"""
ARTIFACT = "beam-runners-flink-1.18-job-server"
VERSION = beam.__version__
JAR = f".m2/repository/org/apache/beam/{ARTIFACT}/{VERSION}/{ARTIFACT}-{VERSION}.jar"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory whose log files go below it, and a `bin` that is all of the path."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def program(home: Path) -> Callable[[str, str], Path]:
    """Puts a shell script on the path."""

    def write(name: str, script: str) -> Path:
        path = home / "bin" / name
        path.write_text(script)
        path.chmod(0o755)
        return path

    return write


def options(*flags: str) -> PipelineOptions:
    return PipelineOptions(["--runner=FlinkRunner", "--flink_job_server_jar=server.jar", *flags])


def test_pipeline_runs_through_a_server_of_its_own(
    home: Path, program: Callable[[str, str], Path]
) -> None:
    java = program("java", JOB_SERVER)
    jar = home / "server.jar"
    jar.touch()
    config = BeamConfig(
        runner="FlinkRunner",
        flink_master="[local]",
        flink_job_server_jar=str(jar),
        job_server_jvm_properties=["-Xmx1g"],
        job_server_timeout=600,
    )

    def build(pipeline: beam.Pipeline) -> None:
        rows = pipeline | beam.Create(range(10)) | beam.Reshuffle()
        _ = rows | beam.Map(str) | beam.io.WriteToText(str(home / "rows"))

    beams.run(config, build)

    (written,) = home.glob("rows-*")
    assert sorted(written.read_text().split()) == sorted(map(str, range(10)))
    arguments = java.with_name("java.arguments").read_text().split()
    assert "--add-opens=java.base/java.util=ALL-UNNAMED" in arguments
    assert arguments.index("-Xmx1g") < arguments.index(str(jar))
    assert arguments[arguments.index("--flink-master") + 1] == "[local]"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("localhost", int(arguments[arguments.index("--job-port") + 1])))
    assert list(home.glob("tfrec-flink-*")) == []


def test_named_server_is_taken_and_none_started(home: Path) -> None:
    given = options("--job_endpoint=jobs:8099")

    with flink_job_server(given):
        assert given.view_as(PortableOptions).job_endpoint == "jobs:8099"

    assert list(home.glob("tfrec-flink-*")) == []


def test_jar_sent_to_the_cluster_itself_needs_no_server(home: Path) -> None:
    given = options("--flink_submit_uber_jar", "--flink_master=jobmanager:8081")

    with flink_job_server(given):
        assert given.view_as(PortableOptions).job_endpoint is None


def test_missing_java_is_told_with_the_remedy(home: Path) -> None:
    with (
        pytest.raises(UserError, match=r"FlinkRunner needs Java, and there is no 'java'; install"),
        flink_job_server(options()),
    ):
        pass


def test_server_that_does_not_start_is_told_with_its_last_words(
    home: Path, program: Callable[[str, str], Path]
) -> None:
    program("java", "#!/bin/sh\necho starting\necho out of memory\nexit 3\n")
    (home / "server.jar").touch()
    given = options()
    given.view_as(FlinkRunnerOptions).flink_job_server_jar = str(home / "server.jar")

    with (
        pytest.raises(UserError, match=r"server ended with status 3: out of memory; see .*\.log"),
        flink_job_server(given),
    ):
        pass

    (log,) = home.glob("tfrec-flink-*.log")
    assert log.read_text() == "starting\nout of memory\n"


def test_log_of_a_failed_pipeline_is_kept_and_named(
    home: Path, program: Callable[[str, str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    launcher = program("launcher", JOB_SERVER)
    (home / "server.jar").touch()
    given = options(f"--job_server_java_launcher={launcher}", "--job_server_timeout=600")
    given.view_as(FlinkRunnerOptions).flink_job_server_jar = str(home / "server.jar")
    caplog.set_level(logging.ERROR, logger="tfrec")

    with pytest.raises(RuntimeError, match="job failed"), flink_job_server(given):
        raise RuntimeError("job failed")

    (log,) = home.glob("tfrec-flink-*.log")
    assert "Listening for beam jobs" in log.read_text()
    assert str(log) in caplog.text
    assert not Path(given.view_as(JobServerOptions).artifacts_dir).exists()


def test_jar_in_mavens_repository_is_taken_as_it_is(home: Path) -> None:
    jar = home / JAR
    jar.parent.mkdir(parents=True)
    jar.touch()

    assert flink_job_server_jar("1.18") == jar


def test_maven_fetches_the_jar_alone(home: Path, program: Callable[[str, str], Path]) -> None:
    jar = home / JAR
    jar.parent.mkdir(parents=True)
    mvn = program("mvn", f'#!/bin/sh\necho "$@" > "$0.arguments"\n: > {jar}\n')

    assert flink_job_server_jar("1.18") == jar

    arguments = mvn.with_name("mvn.arguments").read_text().split()
    assert "-Dtransitive=false" in arguments
    assert f"-Dartifact=org.apache.beam:{ARTIFACT}:{VERSION}" in arguments


def test_missing_maven_is_told_with_what_to_fetch(home: Path) -> None:
    with pytest.raises(UserError, match=rf"no `mvn` .* org.apache.beam:{ARTIFACT}:{VERSION};"):
        flink_job_server_jar("1.18")


def test_what_maven_says_when_it_fails_is_told(
    home: Path, program: Callable[[str, str], Path]
) -> None:
    program("mvn", "#!/bin/sh\necho '[ERROR] Unknown host'\necho '[ERROR] [Help 1]'\nexit 1\n")

    with pytest.raises(UserError, match=r"Maven did not get .*: Unknown host; check the conn"):
        flink_job_server_jar("1.18")
