"""Prometheus and its Alertmanager, as they run beside the service, but in a hurry."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import httpx
import pytest
import yaml

from tfrec.training.ports import reserve_port

T = TypeVar("T")

MONITORING = Path(__file__).parents[1] / "configs" / "monitoring"
_ALERTMANAGER = ("prometheus-alertmanager", "alertmanager")
_DEADLINE_SECONDS = 180
_POLL_SECONDS = 0.1


def program(*names: str) -> str:
    """Path of a program under any of its names; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"NOT TESTED: {names[0]} is not on the PATH; install it")
    return found


def wait_for(what: Callable[[], T | None], until: str) -> T:
    """Asks again and again until something is there."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(_POLL_SECONDS)
    raise AssertionError(f"not within {_DEADLINE_SECONDS} s: {until}")


@dataclass
class Prometheus:
    """A server that scrapes once a second."""

    client: httpx.Client

    def ask(self, path: str, **values: str) -> Any:
        """What its API answers."""
        answer = self.client.get(f"/api/v1/{path}", params=values).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression has now."""
        return self.ask("query", query=expression)["result"]

    def firing(self) -> dict[str, dict[str, Any]]:
        """Alerts that fire, by name."""
        return {
            alert["labels"]["alertname"]: alert
            for alert in self.ask("alerts")["alerts"]
            if alert["state"] == "firing"
        }


@contextmanager
def running_prometheus(
    folder: Path, targets: dict[str, int], alertmanager: int
) -> Iterator[Prometheus]:
    """Runs the shipped config and the shipped rules, with shorter times and other ports.

    Args:
      folder: for its files.
      targets: job -> port of this machine.
      alertmanager: port.
    """
    config = yaml.safe_load((MONITORING / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (manager,) = config["alerting"]["alertmanagers"]
    manager["static_configs"] = [{"targets": [f"127.0.0.1:{alertmanager}"]}]
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [f"127.0.0.1:{targets[job['job_name']]}"]}]
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    (folder / "alerts.yaml").write_text(_hurried((MONITORING / "alerts.yaml").read_text()))
    port = reserve_port()
    command = [
        program("prometheus"), f"--config.file={folder}/prometheus.yaml",
        f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with _running(command, folder / "prometheus.log", port) as client:
        yield Prometheus(client)


@contextmanager
def running_alertmanager(folder: Path, receiver: int) -> Iterator[int]:
    """Runs the shipped config, with shorter times, on the port that it returns."""
    text = (MONITORING / "alertmanager.yaml").read_text()
    text = text.replace("127.0.0.1:9095", f"127.0.0.1:{receiver}")
    text = re.sub(r"group_wait: \w+", "group_wait: 100ms", text)
    text = re.sub(r"group_interval: \w+", "group_interval: 500ms", text)
    (folder / "alertmanager.yaml").write_text(text)
    (folder / "secrets").mkdir()
    for name in ("on_call", "team"):
        (folder / "secrets" / name).write_text(f"credentials of {name}")
    port = reserve_port()
    command = [
        program(*_ALERTMANAGER), f"--config.file={folder}/alertmanager.yaml",
        f"--storage.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]  # fmt: skip
    with _running(command, folder / "alertmanager.log", port):
        yield port


@dataclass
class Receiver:
    """Whom the Alertmanager tells."""

    port: int
    told: list[dict[str, Any]]

    def heard(self, alert: str, status: str) -> dict[str, Any] | None:
        """The newest message in which an alert is `firing` or `resolved`."""
        for message in reversed(self.told):
            if message["groupLabels"]["alertname"] == alert and message["status"] == status:
                return message
        return None


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    """Takes messages on a free port."""
    told: list[dict[str, Any]] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.append(content | {"to": self.path, "by": self.headers["Authorization"]})
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        thread = Thread(target=server.serve_forever, args=(_POLL_SECONDS,))
        thread.start()
        yield Receiver(server.server_port, told)
        server.shutdown()
        thread.join()


def _hurried(rules: str) -> str:
    """The rules with seconds for minutes and hours; what they look for stays as it is."""
    rules = re.sub(r"\bfor: \d+[mh]", "for: 1s", rules)
    return re.sub(r"\[\d+[mh]\]", "[6s]", rules)


@contextmanager
def _running(command: list[str], log: Path, port: int) -> Iterator[httpx.Client]:
    """Runs a program until its client is not needed any more."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=log.parent, stdout=output, stderr=output)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_for(lambda: process.poll() is not None or _is_ready(client), command[0])
            assert process.poll() is None, log.read_text()
            yield client
    finally:
        process.kill()
        process.wait()


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").is_success
    except httpx.TransportError:
        return False
