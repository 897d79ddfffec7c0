"""Changes the items of a served bundle while it is asked, and counts what must not happen.

`tfrec serve` holds a copy of the demo's newest version. Writers change two items each, again and
again, in one request: the two change departments. Readers ask for one of the departments. An
answer with no item, or with both, has seen half of a change; it is counted as torn. Another writer
adds and removes single items, and asks until it sees them, or no longer. Half-way another version
takes the place of the served one.

Run `make demo` first.
"""

import tfrec  # noqa: F401  it sets TensorFlow's environment, so it comes first

# isort: split
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np

from tfrec.errors import UserError
from tfrec.serving.client import Client
from tfrec.serving.status import ServingError

MODEL = "complete_journey"
PAIRS, READERS = 4, 4
COUNTED = ("queries", "puts", "removals", "torn", "failed")
PAUSE_SECONDS = 0.15  # Changes take room; a minute of them has to fit.
SHOPPER = {"household_id": ["2375"], "recent_products": [["1082185"]], "weekday": ["Monday"]}


@click.command(help=__doc__.partition("\n")[0])
@click.option("--quick", is_flag=True, help="A few seconds only, for a look.")
def main(quick: bool) -> None:
    seconds = 5.0 if quick else 60.0
    versions = Path("serving", MODEL)
    newest = max(path for path in versions.iterdir() if path.name.isdigit())
    with tempfile.TemporaryDirectory() as folder:
        base_path = Path(folder, MODEL)
        shutil.copytree(newest, base_path / newest.name)
        with serving(base_path) as url:
            result = Stress(url).run(seconds, base_path, newest)
    print(json.dumps(result))


class Stress:
    """Writers and readers of one server."""

    def __init__(self, url: str) -> None:
        self.url, self.counts, self.running = url, Counter[str](), threading.Event()
        self.latencies: dict[str, list[float]] = {"quiet": [], "changing": []}
        self.visible: list[float] = []

    def run(self, seconds: float, base_path: Path, newest: Path) -> dict[str, float]:
        """Asks in quiet, then while items change, then while a version is swapped."""
        self.running.set()
        with ThreadPoolExecutor(PAIRS + READERS + 1) as threads:
            for pair in range(PAIRS):
                threads.submit(self.change_pair, pair, 1).result()
            list(threads.map(self.read, ["quiet"] * READERS, [seconds / 3] * READERS))
            ends = time.monotonic() + seconds
            work = [threads.submit(self.change_pair, pair) for pair in range(PAIRS)]
            work += [threads.submit(self.read, "changing", seconds) for _ in range(READERS)]
            work.append(threads.submit(self.add_and_remove))
            time.sleep(seconds / 2)
            partial = base_path.with_name("partial")
            shutil.copytree(newest, partial)
            partial.rename(base_path / str(int(newest.name) + 1))
            time.sleep(max(0.0, ends - time.monotonic()))
            self.running.clear()
            for task in work:
                task.result()
        quiet, changing = (np.array(times) * 1000 for times in self.latencies.values())
        return {
            **{
                name: self.counts[name]
                for name in ("queries", "puts", "removals", "torn", "failed")
            },
            "quiet_p50_ms": round(float(np.median(quiet)), 2),
            "changing_p50_ms": round(float(np.median(changing)), 2),
            "changing_p99_ms": round(float(np.percentile(changing, 99)), 2),
            "visible_p50_ms": round(float(np.median(self.visible)) * 1000, 2),
            "visible_max_ms": round(float(np.max(self.visible)) * 1000, 2),
        }

    def read(self, kind: str, seconds: float) -> None:
        """Asks for departments that have one item each at any moment."""
        ends = time.monotonic() + seconds
        with Client(self.url) as client:
            while time.monotonic() < ends:
                pair, side = random.randrange(PAIRS), random.choice("AB")
                started = time.perf_counter()
                found = self.ask(client, department(pair, side))
                self.latencies[kind].append(time.perf_counter() - started)
                if found is not None:
                    right = len(found) == 1 and found[0].startswith(f"pair-{pair}-")
                    self.counts["queries"] += 1
                    self.counts["torn"] += not right

    def change_pair(self, pair: int, times: int | None = None) -> None:
        """Lets two items change places, in one request."""
        with Client(self.url) as client:
            while times is None or times:
                sides = "AB" if self.counts[f"pair {pair}"] % 2 else "BA"
                items = [f"pair-{pair}-{number}" for number in range(2)]
                self.put(client, items, [department(pair, side) for side in sides])
                self.counts[f"pair {pair}"] += 1
                if times is None and not self.running.is_set():
                    return
                times = times and times - 1
                time.sleep(PAUSE_SECONDS)

    def add_and_remove(self) -> None:
        """Adds an item and asks until it is there, removes it and asks until it is gone."""
        with Client(self.url) as client:
            while self.running.is_set():
                started = time.monotonic()
                self.put(client, ["single"], ["STRESS single"])
                self.wait_for(client, ["single"], started)
                started = time.monotonic()
                self.call(client, "remove_items", {"items": ["single"]})
                self.counts["removals"] += 1
                self.wait_for(client, [], started)
                time.sleep(PAUSE_SECONDS)

    def wait_for(self, client: Client, want: list[str], started: float) -> None:
        while self.ask(client, "STRESS single") != want:
            pass
        self.visible.append(time.monotonic() - started)

    def put(self, client: Client, items: list[str], departments: list[str]) -> None:
        features = {
            name: [""] * len(items)
            for name in ("manufacturer_id", "brand", "product_category", "product_type")
        }
        self.call(client, "put_items", {"items": items, "department": departments, **features})
        self.counts["puts"] += 1

    def ask(self, client: Client, wanted: str) -> list[str] | None:
        conditions = {"only_department": [[wanted]], "only_brand": [[""]], "new_items": 0}
        inputs = {**SHOPPER, "k": 3, "exclude": [[""]], **conditions}
        answer = self.call(client, "recommend_filtered", inputs)
        return None if answer is None else [item for item in answer["ids"][0] if item]

    def call(self, client: Client, signature: str, inputs: dict) -> dict[str, np.ndarray] | None:
        try:
            return client.predict(MODEL, inputs, signature=signature)
        except (ServingError, UserError) as error:
            print(f"{signature}: {error}", file=sys.stderr)
            self.counts["failed"] += 1
            return None


def department(pair: int, side: str) -> str:
    return f"STRESS {pair} {side}"


@contextmanager
def serving(base_path: Path) -> Iterator[str]:
    """Starts the server; gives its address."""
    command = [sys.executable, "-m", "tfrec.cli.main", "serve", str(base_path)]
    with subprocess.Popen(
        [*command, "--port", "0", "--rest_api_port", "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            line = next(line for line in process.stdout if "grpc://" in line)
            yield re.findall(r"grpc://\S+", line)[0]
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
