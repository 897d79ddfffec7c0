"""A real redis-server: from the path, or from Debian's packages, unpacked without root."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import pytest
import redis

from tfrec.training.ports import reserve_port

_PACKAGES = ("redis-server", "redis-tools", "libatomic1", "libjemalloc2", "liblzf1")
_CACHE = Path(platformdirs.user_cache_dir("tfrec")) / "redis-server"
_FETCH_SECONDS, _START_SECONDS = 120, 120


@dataclass
class RedisServer:
    """A server that tests may stop and start again, on the same port with the same data."""

    folder: Path
    port: int
    process: subprocess.Popen

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def flush(self) -> None:
        """Forgets everything."""
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def kill(self) -> None:
        """Ends the process as a crash would."""
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Starts the process, and waits until it answers."""
        self.process = _start(self.folder, self.port)


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """Runs a server that keeps its data below `folder`, on a free port of this machine.

    Skips the test, and says what to install, where there is no redis-server and none to be had;
    with `TFREC_TEST_REDIS=required` that is a failure.
    """
    if _program() is None:
        missing = "NOT TESTED: redis-server is neither on the PATH nor to be had; install it"
        if os.environ.get("TFREC_TEST_REDIS") == "required":
            pytest.fail(missing)
        pytest.skip(missing)
    port = reserve_port()
    server = RedisServer(folder, port, _start(folder, port))
    try:
        yield server
    finally:
        server.kill()


def _start(folder: Path, port: int) -> subprocess.Popen:
    program = _program()
    assert program
    options = {
        "port": port, "bind": "127.0.0.1", "dir": folder, "save": "",
        "appendonly": "yes", "appendfsync": "always",
    }  # fmt: skip
    process = subprocess.Popen(
        [program, *(text for name, value in options.items() for text in (f"--{name}", str(value)))],
        stdout=(folder / "redis.log").open("ab"),
        stderr=subprocess.STDOUT,
        env=_with_libraries(program) if program.is_relative_to(_CACHE) else None,
    )
    deadline = time.monotonic() + _START_SECONDS
    with redis.Redis(port=port) as client:
        while True:
            try:
                client.ping()
                return process
            except redis.RedisError:
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    log = (folder / "redis.log").read_text()
                    pytest.fail(f"redis-server did not start: {log[-2000:]}")
                time.sleep(0.02)


def _program() -> Path | None:
    if found := shutil.which("redis-server"):
        return Path(found)
    ours = _CACHE / "usr/bin/redis-server"
    if not ours.exists():
        _fetch()
    return ours if ours.exists() else None


def _fetch() -> None:
    """Unpacks Debian's packages into the cache; where that cannot be, nothing is there."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        return
    _CACHE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_CACHE.parent) as scratch:
        root = Path(scratch, "root")
        try:
            _download(scratch)
            for package in Path(scratch).glob("*.deb"):
                _run("dpkg", "-x", str(package), str(root), cwd=scratch)
            program = root / "usr/bin/redis-server"
            # Another Debian may want further libraries.
            _run(str(program), "--version", cwd=scratch, env=_with_libraries(program))
        except (subprocess.SubprocessError, OSError):
            return
        try:
            root.rename(_CACHE)
        except OSError:  # another process was faster
            assert _CACHE.exists()


def _download(folder: str) -> None:
    """Fetches the packages; where the machine has no lists of packages, with lists of its own."""
    try:
        _run("apt-get", "download", *_PACKAGES, cwd=folder)
    except subprocess.CalledProcessError:
        state, cache = Path(folder, "state"), Path(folder, "cache")
        (state / "lists/partial").mkdir(parents=True)
        (cache / "archives/partial").mkdir(parents=True)
        own = "-o", f"Dir::State={state}", "-o", f"Dir::Cache={cache}", "-o", "APT::Sandbox::User="
        _run("apt-get", *own, "update", cwd=folder)
        _run("apt-get", *own, "download", *_PACKAGES, cwd=folder)


def _run(*command: str, cwd: str, env: dict[str, str] | None = None) -> None:
    subprocess.run(
        command, cwd=cwd, env=env, check=True, capture_output=True, timeout=_FETCH_SECONDS
    )


def _with_libraries(program: Path) -> dict[str, str]:
    """The environment in which a program finds what was unpacked beside it."""
    libraries = program.parents[1].glob("lib/*-linux-gnu")
    return os.environ | {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}
