"""Ends `make demo`: serves the model that `tfrec run` pushed, asks it, and asks the service.

Usage: python examples/demo.py [CONFIG] [SHOPPER]
"""

import logging
import sys
import time

from demo_service import show_service
from rich.console import Console
from rich.table import Table

import tfrec
from tfrec.cli.reporter import show_metrics
from tfrec.data.catalogue import Catalogue
from tfrec.data.prepared import PreparedData
from tfrec.data.profiles import Profiles
from tfrec.serving import Client, ModelServer
from tfrec.stages.recommender import Recommendation, Recommender

SHOWN = 10


def main(config: str = "configs/complete_journey.yaml", shopper: str = "2375") -> None:
    """Prints a shopper's purchases, recommendations, shelves, and how good the model is."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    console = Console()
    experiment = tfrec.Experiment.load(config)
    serving = experiment.config.serving
    show_purchases(console, experiment, shopper)
    with ModelServer(
        {serving.name: serving.root / serving.name}, port=0, rest_api_port=0
    ) as server:
        answers = {}
        for url in (f"grpc://127.0.0.1:{server.port}", f"http://127.0.0.1:{server.rest_api_port}"):
            answers[url.split(":")[0]] = ask(url, experiment, shopper)
        show_recommendations(console, shopper, answers)
        show_service(console, config, shopper, f"grpc://127.0.0.1:{server.port}")
    show_metrics(experiment)
    console.print(
        "Go on with:\n"
        "  make serve   # the model server, the service, and its page at http://127.0.0.1:8080/\n"
        f"  .venv/bin/tfrec query {serving.name} --household_id {shopper} -k 5\n"
        f"  .venv/bin/tfrec run {config} --model examples/wider_items.py:WiderItems",
        highlight=False,
        soft_wrap=True,
    )


def ask(url: str, experiment: tfrec.Experiment, shopper: str) -> tuple[list[Recommendation], float]:
    """Returns a shopper's recommendations and the milliseconds that the answer took."""
    with Client(url) as client:
        recommender = Recommender.connect(
            client, experiment.config.serving.name, experiment.prepared
        )
        question = recommender.question({"household_id": shopper}, SHOWN)
        recommender.answer(question)  # Connects.
        started = time.perf_counter()
        items = recommender.answer(question)
        return items, (time.perf_counter() - started) * 1000


def show_purchases(console: Console, experiment: tfrec.Experiment, shopper: str) -> None:
    """Prints the last purchases of a shopper, the latest first."""
    data = PreparedData(experiment.prepared.path)
    catalogue = Catalogue(data.catalogue)
    recent = Profiles(data.profiles).find(shopper).get("recent_products", [])[-SHOWN:]
    table = Table("id", "name", title=f"Household {shopper}: last {len(recent)} purchases")
    for item, row in zip(reversed(recent), reversed(catalogue.rows(recent)), strict=True):
        table.add_row(item, catalogue.names[row])
    console.print(table)


def show_recommendations(
    console: Console, shopper: str, answers: dict[str, tuple[list[Recommendation], float]]
) -> None:
    """Prints what both protocols answered, side by side."""
    (grpc, grpc_ms), (rest, rest_ms) = answers["grpc"], answers["http"]
    title = (
        f"Household {shopper}: {len(grpc)} recommendations, "
        f"{grpc_ms:.1f} ms over gRPC, {rest_ms:.1f} ms over REST"
    )
    table = Table("#", "id", "name", "score by gRPC", "score by REST", title=title)
    for place, (item, same) in enumerate(zip(grpc, rest, strict=True), 1):
        table.add_row(str(place), item.id, item.name, f"{item.score:.4f}", f"{same.score:.4f}")
    console.print(table)
    if grpc != rest:
        sys.exit("error: gRPC and REST answered differently")


if __name__ == "__main__":
    main(*sys.argv[1:])
