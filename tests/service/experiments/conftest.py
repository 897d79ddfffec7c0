"""A log of events, as the service writes it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from service_shop import ServiceShop

from tfrec.service import metrics
from tfrec.service.intake import Intake
from tfrec.service.sqlite_store import SqliteStore


@pytest.fixture
def intake(tmp_path: Path, service_shop: ServiceShop) -> Iterator[Intake]:
    """Writes its log to `events`."""
    store = SqliteStore(tmp_path / "features.sqlite", service_shop.online)
    with Intake(tmp_path / "events", service_shop.online, store) as intake:
        yield intake
    store.close()


@pytest.fixture
def counted() -> Callable[[str], float]:
    """Says by how much a metric, with its labels, has grown in the test."""

    def now(name: str) -> float:
        lines = metrics.render()[0].decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    before: dict[str, float] = {}

    def run(name: str) -> float:
        return now(name) - before.setdefault(name, now(name))

    return run
