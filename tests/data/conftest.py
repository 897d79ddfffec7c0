"""A shop's log in plain Python, and cleaned events made by hand."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import timezone
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet
import pytest
from shop import START, Shop

from tfrec.config import validate
from tfrec.data.catalogue import GROUP, ID, NAME, Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.events import PART, TYPE, USER
from tfrec.data.prepared import PreparedData
from tfrec.data.shard import Shard
from tfrec.data.splits import EXAMPLE_PARTS, ByTime, Split
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, TIME

COLUMNS = Columns(
    {
        "shopper": "user",
        "sku": "item",
        "aisle": "catalogue",
        "channel": "event",
        "weekday": "calendar",
        "days_since_last_visit": "behaviour",
        "visits_before": "behaviour",
        "events_before": "behaviour",
    }
)

_SPLIT = ByTime(50, 80)

Cleaned = tuple[str, int, int, str | None, str | None]
"""A cleaned event: shopper, time, item row, type and channel."""


class Event(NamedTuple):
    user: str
    time: int
    sku: str
    channel: str


@pytest.fixture(scope="session")
def log(shop: Shop) -> list[Event]:
    """The shop's good events: each shopper's together, in the order of time and then the file."""
    rows = pa.parquet.read_table(shop.events).to_pylist()
    good = dict.fromkeys(
        Event(
            row["shopper"],
            int(row["at"].replace(tzinfo=timezone.utc).timestamp()),
            row["sku"],
            row["channel"],
        )
        for row in rows
        if row["shopper"] is not None and row["sku"] != "sku-unknown"
    )
    return sorted(good, key=lambda event: (event.user, event.time))


@pytest.fixture(scope="session")
def paired(shop: Shop, spec: FeatureSpec, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """The shop prepared with pairs of what is bought in one session, one thing after the other."""
    from tfrec.stages.prepare import prepare

    pairs = {"within": "session", "ordered": True, "substitutes": "aisle", "examples": 2}
    section = shop.config(data={"session_gap": "3h", "pairs": pairs})["data"]
    config = validate(DataConfig, section, "data")
    return PreparedData(prepare(config, spec, tmp_path_factory.mktemp("paired") / "prepare").path)


@pytest.fixture(scope="session")
def bought_after(log: list[Event]) -> dict[str, list[list[tuple[Event, Event]]]]:
    """Part -> what each event was followed by in its session: pairs of items of two aisles."""
    end = max(event.time for event in log) + 1
    cuts = [START, end - 14 * 86_400, end - 7 * 86_400, end]
    followed: dict[str, list[list[tuple[Event, Event]]]] = {}
    for part, (start, stop) in zip(EXAMPLE_PARTS, itertools.pairwise(cuts), strict=True):
        sessions: list[list[Event]] = []
        for event in log:
            if not start <= event.time < stop:
                continue
            before = sessions[-1][-1] if sessions else event
            if sessions and before.user == event.user and event.time - before.time <= 3 * 3600:
                sessions[-1].append(event)
            else:
                sessions.append([event])
        followed[part] = [
            [
                (source, target)
                for source in session
                for target in session
                if source.time < target.time
                and int(source.sku[-3:]) % 6 != int(target.sku[-3:]) % 6
            ]
            for session in sessions
        ]
    return followed


@pytest.fixture
def output(tmp_path: Path) -> PreparedData:
    """An empty directory for prepared data."""
    data = PreparedData(tmp_path / "prepared")
    data.rejects.mkdir(parents=True)
    return data


@pytest.fixture(scope="session")
def make_config() -> Callable[..., DataConfig]:
    """Makes the `data` section of sources that each test writes: changes of each log, and more."""

    log = {"source": "events", "user": "shopper", "item": "sku", "time": "at"}
    catalogue = {"source": "items", "id": "sku", "name": ["title", "size"]}

    def make(
        *logs: Mapping[str, Any], items: Mapping[str, Any] | None = None, **data: Any
    ) -> DataConfig:
        content = {
            "events": [{**log, **changes} for changes in logs or [{}]],
            "items": {**catalogue, **(items or {})},
            "split": {"kind": "time", "validation": "1d", "test": "1d"},
            "shards": 3,
            **data,
        }
        return validate(DataConfig, content, "data")

    return make


@pytest.fixture(scope="session")
def small_config(make_config: Callable[..., DataConfig]) -> DataConfig:
    """A `data` section without anything special."""
    return make_config()


@pytest.fixture
def write_catalogue(output: PreparedData) -> Callable[..., Catalogue]:
    """Puts a catalogue in its place as preparation leaves it."""

    def write(
        ids: Sequence[str], group: Sequence[str | None] | None = None, **features: Sequence
    ) -> Catalogue:
        columns = {ID: pa.array(ids, pa.string()), NAME: [f"the {item}" for item in ids]}
        if group:
            columns[GROUP] = pa.array(group, pa.string())
        pa.parquet.write_table(pa.table({**columns, **features}), output.catalogue)
        return Catalogue(output.catalogue)

    return write


@pytest.fixture
def write_events(output: PreparedData) -> Callable[..., Path]:
    """Puts a file of cleaned events in its place, in the order given."""

    def write(events: Sequence[Cleaned], name: str = "events-0", **columns: Sequence) -> Path:
        users, times, rows, types, channels = zip(*events, strict=True)
        table = {
            USER: pa.array(users, pa.string()),
            TIME: pa.array(times, pa.int64()),
            ITEM_ROW: pa.array(rows, pa.int64()),
            TYPE: pa.array(types, pa.string()),
            PART: pa.nulls(len(events), pa.string()),
            "channel": pa.array(channels, pa.string()),
        }
        output.events.mkdir(exist_ok=True)
        file = output.events / f"{name}.parquet"
        pa.parquet.write_table(pa.table(table | columns), file)
        return file

    return write


@pytest.fixture
def make_shard(
    output: PreparedData, write_events: Callable[..., Path], small_config: DataConfig
) -> Callable[..., Shard]:
    """Makes a shard of cleaned events, in the order given; its catalogue must be there."""

    def make(
        events: Sequence[Cleaned],
        split: Split = _SPLIT,
        config: DataConfig = small_config,
        columns: Columns = COLUMNS,
        **more: Sequence,
    ) -> Shard:
        file = write_events(events, **more)
        return Shard(file, columns, Catalogue(output.catalogue), config, split)

    return make
