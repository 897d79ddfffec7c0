"""Takes in events at full speed, kills the process in the middle, and counts what is left.

- `events_per_second`: validated, logged with `fsync`, and applied to the feature store, in batches
  of some callers that each wait for their answer before they send the next one.
- `visible_ms`: from sending one event to reading it back from the store, with nothing else to do.
- `killed`: SIGKILL once half of the events are acknowledged; then a second process takes all that
  was not, and some that was, again. `lost` and `twice` count lines of the log, `store` the events
  that the store counts, which must be all.

Ends with a line of JSON. The exit status is 1 where an event is lost or there twice.
"""

import tfrec  # noqa: F401  it sets TensorFlow's environment, so it comes first

# isort: split
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet

from tfrec.config import validate
from tfrec.data.catalogue import GROUP, ID, NAME, Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.features import FeatureSpec
from tfrec.service.feature_store import FeatureStore
from tfrec.service.intake import Intake
from tfrec.service.online_features import OnlineFeatures
from tfrec.service.sqlite_store import SqliteStore

USERS, ITEMS = 2_500, 10_000
BATCH, SENDERS = 100, 8
SINGLES = 200
_CATEGORY = {"kind": "categorical", "embedding": 8}
_FEATURES = {
    "visitor": {"role": "user", **_CATEGORY},
    "recent": {"role": "user", "kind": "sequence", "of": "item", "last": 50},
    "item": {"role": "item", **_CATEGORY},
}
_DATA = {
    "events": {
        "source": "events/", "user": "visitor", "item": "item", "time": "time",
        "type_column": "type", "weights": {"click": 1, "purchase": 1},
    },
    "items": {"source": "items.csv", "id": "item"},
    "split": {"kind": "leave_last_out"},
}  # fmt: skip


@click.command(help=__doc__.partition("\n")[0])
@click.option("--quick", is_flag=True, help="5,000 events instead of 100,000, for a look.")
@click.option("--sender", nargs=2, type=str, hidden=True)
def main(quick: bool, sender: tuple[str, str] | None) -> None:
    if sender:
        send(Path(sender[0]), json.loads(sender[1]))
        return
    count = 5_000 if quick else 100_000
    with tempfile.TemporaryDirectory() as scratch:
        rate, visible = measure(Path(scratch, "speed"), count)
        killed = kill(Path(scratch, "killed"), count)
    result = {
        "events": count,
        "events_per_second": round(rate),
        "visible_ms": round(visible, 2),
        "killed": killed,
    }
    print(json.dumps(result))
    sys.exit(bool(killed["lost"] or killed["twice"] or killed["store"] != count))


def measure(folder: Path, count: int) -> tuple[float, float]:
    """Events per second, and the median milliseconds until one is visible."""
    batches = range(count // BATCH)
    with intake(folder) as (opened, store):
        started = time.perf_counter()
        with ThreadPoolExecutor(SENDERS) as senders:
            for verdicts in senders.map(lambda number: opened.take(batch(number)), batches):
                assert {one.status for one in verdicts} == {"accepted"}
        seconds = time.perf_counter() - started
        waits = []
        for row in batch(count // BATCH)[:SINGLES]:
            row["user"] = "somebody"
            began = time.perf_counter()
            opened.take([row])
            assert store.find("somebody").features["recent"][-1] == row["item"]
            waits.append(time.perf_counter() - began)
    print(f"{count:,} events in {seconds:.1f} s")
    return count / seconds, 1000 * statistics.median(waits)


def kill(folder: Path, count: int) -> dict[str, int]:
    """Kills a process that takes events in, and finishes with another one."""
    every = list(range(count // BATCH))
    acknowledged = set()
    with sender(folder, every) as process:
        for line in process.stdout:
            acknowledged.add(int(line))
            if len(acknowledged) == len(every) // 2:
                process.send_signal(signal.SIGKILL)
    print(f"killed behind {len(acknowledged) * BATCH:,} acknowledged events")
    there = Counter(logged(folder))
    lost = [one for number in acknowledged for one in ids(number) if not there[one]]
    again = [number for number in every if number not in acknowledged or number % 10 == 0]
    with sender(folder, again) as process:
        finished = set(map(int, process.stdout))
    assert process.returncode == 0
    assert finished == set(again)
    there = Counter(logged(folder))
    lost += [one for number in every for one in ids(number) if not there[one]]
    with intake(folder) as (_, store):
        counted = sum(sum(store.find(f"user-{number}").counts.values()) for number in range(USERS))
    return {
        "acknowledged": len(acknowledged) * BATCH,
        "lost": len(lost),
        "twice": sum(times > 1 for times in there.values()),
        "store": counted,
    }


def send(folder: Path, batches: Sequence[int]) -> None:
    """Takes batches in, and prints the number of each once it is acknowledged."""

    def take(number: int) -> None:
        opened.take(batch(number))
        os.write(1, f"{number}\n".encode())

    with intake(folder) as (opened, _), ThreadPoolExecutor(SENDERS) as senders:
        list(senders.map(take, batches))


@contextmanager
def sender(folder: Path, batches: Sequence[int]) -> Iterator[Any]:
    """A process that sends, whose standard output tells what is acknowledged."""
    command = [sys.executable, __file__, "--sender", str(folder), json.dumps(batches)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process


@contextmanager
def intake(folder: Path) -> Iterator[tuple[Intake, FeatureStore]]:
    """The log and the store below a directory."""
    folder.mkdir(exist_ok=True)
    items = folder / "catalogue.parquet"
    if not items.exists():
        names = sorted(f"item-{number}" for number in range(ITEMS))
        pa.parquet.write_table(pa.table({ID: names, NAME: names, GROUP: names}), items)
    online = OnlineFeatures(
        validate(DataConfig, _DATA, "data"),
        validate(FeatureSpec, _FEATURES, "features"),
        Columns({"visitor": "user", "item": "item"}),
        Catalogue(items),
    )
    store = SqliteStore(folder / "features.sqlite", online)
    with Intake(folder / "log", online, store) as opened:
        yield opened, store
    store.close()


def batch(number: int) -> list[dict[str, Any]]:
    """The events of one request, always the same of one number."""
    chosen = random.Random(number)
    return [
        {
            "id": one,
            "type": chosen.choice(["click", "purchase"]),
            "user": f"user-{chosen.randrange(USERS)}",
            "item": f"item-{chosen.randrange(ITEMS)}",
            # A second of its own, or preparation would take some for duplicates.
            "time": 1_700_000_000 + number * BATCH + place,
        }
        for place, one in enumerate(ids(number))
    ]


def ids(number: int) -> list[str]:
    """The ids of a batch's events."""
    return [f"{number:06d}-{place:03d}" for place in range(BATCH)]


def logged(folder: Path) -> Iterator[str]:
    """The ids in all whole lines of the log; the last one may have been cut off."""
    for file in sorted((folder / "log").glob("*events-*.jsonl")):
        for line in file.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                yield json.loads(line)["id"]


if __name__ == "__main__":
    main()
