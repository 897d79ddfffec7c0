"""Parts of the toy shop's gateway are killed while shoppers ask."""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis_server import running_redis

TESTS = Path(__file__).parents[1]
BENCHMARKS = TESTS.parent / "benchmarks"
USERS = [f"shopper-{number}" for number in range(30)]


@pytest.fixture
def counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    from toy_gateway import MODEL, write_toy_version

    monkeypatch.syspath_prepend(BENCHMARKS)
    chaos, processes = (
        importlib.import_module(name) for name in ("gateway_chaos", "gateway_processes")
    )
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    )
    version = write_toy_version(tmp_path / MODEL, 1)
    (tmp_path / "redis").mkdir()
    with running_redis(tmp_path / "redis") as redis:
        server, url = processes.model_server({MODEL: version.parent}, tmp_path)
        command = sys.executable, TESTS / "toy_gateway.py", tmp_path, url, redis.url
        gateway = processes.Child(command, "http://", tmp_path / "gateway.log")
        with processes.running(server), processes.running(gateway) as line:
            parts = chaos.Parts(line.split()[-1], server, redis, {MODEL: version})
            yield chaos.cause_faults(parts, USERS)


def test_no_request_fails_whatever_is_killed_and_each_fallback_is_counted(
    counts: dict[str, Any],
) -> None:
    assert counts.pop("metrics")["agree"]
    assert {name: (count["failed"], count["short"]) for name, count in counts.items()} == {
        "model server killed": (0, 0),
        "redis killed": (0, 0),
        "versions swapped": (0, 0),
    }
    assert {"retrieval", "ranker"} <= counts["model server killed"]["fallbacks"].keys()
    assert "store" in counts["redis killed"]["fallbacks"]
