"""The demo's second half: a shelf over HTTP, and how it changes with what the shopper does."""

import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

import tfrec
from tfrec.service.open_store import open_store
from tfrec.stages.push_features import online_features, push_features

SHOWN = 8
SECONDS = 300


def show_service(console: Console, config: str, shopper: str, server: str) -> None:
    """Asks the gateway for a shelf, tells it what the shopper did, and asks again.

    What is told is forgotten in the end.

    Args:
      console: where tables go.
      config: path of the experiment's config.
      shopper: the shopper's id.
      server: URL of the model server.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        running_gateway(config, server, folder) as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        ask(client, shopper)  # The first request connects.
        before = ask(client, shopper)
        hidden, bought = (item["id"] for item in before["items"][:2])
        send(client, shopper, [("hide", hidden), ("purchase", bought)])
        started = time.perf_counter()
        after = ask(client, shopper)
        milliseconds = (time.perf_counter() - started) * 1000
        show_change(console, shopper, before, after, hidden, bought)
        console.print(
            f"The second shelf took {milliseconds:.1f} ms over HTTP; fallbacks: "
            f"{', '.join(after['fallbacks']) or 'none'}. Its page was at {url}/"
        )


def load_features(experiment: tfrec.Experiment) -> None:
    """Puts all shoppers of the prepared data into the service's feature store."""
    config = experiment.config
    store = open_store(
        config.service.store_url, online_features(experiment.prepared, config.features)
    )
    push_features(experiment.prepared, config.features, store, config.data.clean.erased)
    store.close()


@contextmanager
def running_gateway(config: str, server: str, folder: str) -> Iterator[str]:
    """Starts `tfrec gateway` on a free port, gives its URL, and stops it in the end."""
    settings = {"service.server": server, "service.folder": folder}
    load_features(tfrec.Experiment.load(config, overrides=settings))
    command = [sys.executable, "-m", "tfrec.cli.main", "gateway", config, "--port=0"]
    command += [f"--{name}={value}" for name, value in settings.items()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()  # "gateway NAME: URL"
            if not line:
                sys.exit("error: the gateway did not start")
            yield line.split(": ", 1)[1].strip()
        finally:
            process.terminate()
            process.wait(SECONDS)


def ask(client: httpx.Client, shopper: str) -> dict[str, Any]:
    """A shelf for a shopper, with reasons."""
    asked = {"user": shopper, "k": SHOWN, "explain": True}
    return client.post("/v1/recommendations", json=asked).raise_for_status().json()


def send(client: httpx.Client, shopper: str, done: Sequence[tuple[str, str]]) -> None:
    """Tells what a shopper did: pairs of what and with which item."""
    events = [
        {"id": uuid.uuid4().hex, "type": kind, "user": shopper, "item": item} for kind, item in done
    ]
    verdicts = client.post("/v1/events", json={"events": events}).raise_for_status().json()
    refused = [one for one in verdicts["verdicts"] if one["status"] != "accepted"]
    if refused:
        sys.exit(f"error: events were not taken: {refused}")


def show_change(
    console: Console,
    shopper: str,
    before: dict[str, Any],
    after: dict[str, Any],
    hidden: str,
    bought: str,
) -> None:
    """Prints two shelves side by side."""
    table = Table("#", "before", "after", "why", title=f"Household {shopper}: the shelf `home`")
    notes = {hidden: " (is hidden now)", bought: " (is bought now)"}
    for place, (old, new) in enumerate(zip(before["items"], after["items"], strict=False), 1):
        name = old["name"] + notes.get(old["id"], "")
        table.add_row(str(place), name, new["name"], new["why"])
    console.print(table)
    if hidden in [item["id"] for item in after["items"]]:
        sys.exit("error: a hidden item is still on the shelf")
