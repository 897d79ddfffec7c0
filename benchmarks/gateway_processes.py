"""The processes of a recommendation service: model server, Redis, and the gateway itself."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

TFREC = (sys.executable, "-m", "tfrec.cli.main")


class Child:
    """A process that may be killed and started again."""

    def __init__(self, command: Sequence[object], ready: str, log: Path) -> None:
        """Describes it.

        Args:
          command: starts it.
          ready: stands in the line that it prints once it answers.
          log: file for its standard error.
        """
        self._command, self._ready, self._log = [str(part) for part in command], ready, log
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Starts it, waits until it is ready, and returns the line that says so."""
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout
        for line in self._process.stdout:
            if self._ready in line:
                return line.strip()
        raise RuntimeError(f"{' '.join(self._command)}: ended\n{self._log.read_text()[-3000:]}")

    def kill(self) -> None:
        """Ends it as a crash would."""
        if self._process:
            self._process.kill()
            self._process.communicate()


@contextmanager
def running(child: Child) -> Iterator[str]:
    """Starts a process, gives the line that it prints, and ends it."""
    try:
        yield child.start()
    finally:
        child.kill()


def model_server(base_paths: Mapping[str, Path], folder: Path) -> tuple[Child, str]:
    """A server of models.

    Args:
      base_paths: name -> directory with a directory per version.
      folder: for its files.

    Returns:
      The process, and the URL at which it will be, however often it is started.
    """
    models = "\n".join(
        f'config {{ name: "{name}" base_path: "{path.resolve()}" model_platform: "tensorflow" }}'
        for name, path in base_paths.items()
    )
    file = folder / "models.config"
    file.write_text(f"model_config_list {{\n{models}\n}}\n")
    port = free_port()
    flags = f"--model_config_file={file}", f"--port={port}", "--rest_api_port=0"
    command = (*TFREC, "serve", *flags, "--file_system_poll_wait_seconds=1")
    return Child(command, "grpc://", folder / "serve.log"), f"grpc://127.0.0.1:{port}"


def redis_server(folder: Path) -> tuple[Child, str] | None:
    """Redis on a free port, with its URL; None where there is no such program."""
    program = shutil.which("redis-server")
    if program is None:
        return None
    port = free_port()
    options = {"port": port, "bind": "127.0.0.1", "dir": folder, "appendonly": "yes", "save": ""}
    flags = [str(text) for name, value in options.items() for text in (f"--{name}", value)]
    child = Child([program, *flags], "Ready to accept connections", folder / "redis.log")
    return child, f"redis://127.0.0.1:{port}"


def gateway(config: Path, folder: Path, server: str, **service: object) -> Child:
    """The gateway on a free port, which it prints.

    Args:
      config: of the experiment.
      folder: for its files.
      server: URL of the model server.
      **service: further values of its section, by dotted name with `__` for each dot.
    """
    values = {"folder": folder / "service", "server": server, **service}
    flags = [
        str(text)
        for name, value in values.items()
        for text in (f"--service.{name.replace('__', '.')}", value)
    ]
    command = (*TFREC, "gateway", config, "--port", "0", *flags)
    return Child(command, "http://", folder / "gateway.log")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
