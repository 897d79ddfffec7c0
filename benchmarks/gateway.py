"""Measures the gateway beside the calls of its models alone, and what faults do to it.

Model server, gateway and caller are processes of their own. The models are those of
`configs/complete_journey.yaml`, which finds candidates among the whole catalogue, and of
`configs/complete_journey_ranker.yaml`, which ranks 200 of them; what `runs/` lacks is made first.

- `home` is asked once for each household, one after the other, and in turn with that the models are
  asked themselves, over the same gRPC and for the same shopper: `recommend` for 200 items, then
  `rank` of these. `p50_ms` and `p99_ms` are the gateway's, from the request to the answer;
  `vs_models_alone` is the ratio of the medians.
- `requests_per_second` is with 8 shoppers who each ask again as soon as they are answered.
- `faults`: the model server is killed and started again, then Redis, then both models get a new
  version, all while 4 shoppers ask.

Nothing is cached but in `faults`. The exit status is 1 where a request failed.
"""

import tfrec  # noqa: F401  it sets TensorFlow's environment, so it comes first

# isort: split
import json
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow.parquet
from gateway_chaos import Parts, cause_faults
from gateway_load import Answer, Shopper
from gateway_processes import TFREC, gateway, model_server, redis_server, running

from tfrec.data.events import USER
from tfrec.data.prepared import PreparedData
from tfrec.data.profiles import calendar_features
from tfrec.models.signatures import RANK
from tfrec.service.flow.asking import inputs_of
from tfrec.service.open_store import open_store
from tfrec.serving.client import Client
from tfrec.serving.names import EXCLUDE, IDS, ITEMS, RECOMMEND, K
from tfrec.stages.experiment import Experiment
from tfrec.stages.push_features import online_features

CONFIG = Path("configs/complete_journey.yaml")
RANKER_CONFIG = Path("configs/complete_journey_ranker.yaml")
CANDIDATES, SHOPPERS, WARM_UP = 200, 8, 30


@click.command(help=__doc__.partition("\n")[0])
@click.option("--quick", is_flag=True, help="200 households instead of all, for a look.")
@click.option("--faults/--no-faults", default=True, help="Whether parts are killed afterwards.")
def main(quick: bool, faults: bool) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that children end with it
    experiment, versions = made_models()
    users = households(experiment)
    chosen = users[:200] if quick else users
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        served = served_copies(versions, folder / "models")
        result: dict[str, Any] = {"households": len(chosen)}
        result |= measure_speed(experiment, served, chosen, folder)
        if faults:
            result["faults"] = measure_faults(experiment, served, users, folder)
    print(json.dumps(result))
    counts = result.get("faults", {}).values()
    sys.exit(any(count.get("failed") for count in counts))


def made_models() -> tuple[Experiment, dict[str, Path]]:
    """The experiment, and model -> newest version; makes those that are not there."""
    versions = {}
    for config in (RANKER_CONFIG, CONFIG):
        experiment = Experiment.load(config)
        is_there = experiment.bundle.path.exists()
        for stage in () if is_there else ("prepare", "train", "index", "export"):
            print(f"{config.stem}: {stage}", file=sys.stderr, flush=True)
            getattr(experiment, stage)()
        versions[experiment.config.serving.name] = experiment.bundle.version
    return experiment, versions


def served_copies(versions: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """Copies of versions, to which others can be added: model -> version's directory."""
    copies = {name: folder / name / version.name for name, version in versions.items()}
    for name, copy in copies.items():
        shutil.copytree(versions[name], copy)
    return copies


def households(experiment: Experiment) -> list[str]:
    """All shoppers of the training data, in an order that is always the same."""
    profiles = PreparedData(experiment.prepared.path).profiles
    users = pyarrow.parquet.read_table(profiles, columns=[USER])[USER].to_pylist()
    random.Random(0).shuffle(users)
    return users


def measure_speed(
    experiment: Experiment, served: Mapping[str, Path], users: Sequence[str], scratch: Path
) -> dict[str, float]:
    """Latency beside the models' own, and requests per second."""
    folder = scratch / "speed"
    folder.mkdir()
    server, url = model_server({name: path.parent for name, path in served.items()}, folder)
    store = f"sqlite:///{folder}/service/features.sqlite"
    push_features(store)
    opened = gateway(CONFIG, folder, url, **SERVICE, resilience__cache__entries=0)
    with ExitStack() as stack:
        stack.enter_context(running(server))
        address = stack.enter_context(running(opened)).split()[-1]
        models = stack.enter_context(ModelCalls(experiment, url, store))
        shopper = Shopper(address)
        for user in users[:WARM_UP]:
            shopper.home(user)
            models.home(user)
        alone, answers = take_turns(shopper, models, users)
        shopper.close()
        rate, loaded = saturate(address, users)
    report(alone, answers, rate, loaded)
    median = statistics.median(answer.seconds for answer in answers)
    return {
        "requests_per_second": round(rate, 1),
        "p50_ms": round(1000 * median, 2),
        "p99_ms": round(1000 * percentile(answers, 99), 2),
        "vs_models_alone": round(median / statistics.median(alone), 3),
    }


SERVICE = {"flow__rank__model": Experiment.load(RANKER_CONFIG).config.serving.name}


class ModelCalls:
    """The calls of models that a slate takes, without a gateway."""

    def __init__(self, experiment: Experiment, url: str, store: str) -> None:
        self._client = Client(url)
        self._model, self._ranker = experiment.config.serving.name, SERVICE["flow__rank__model"]
        self._user = experiment.prepared.manifest.summary["user"]
        self._store = open_store(
            store, online_features(experiment.prepared, experiment.config.features)
        )

    def __enter__(self) -> "ModelCalls":
        self._recommend = self._client.metadata(self._model)[RECOMMEND].inputs
        self._rank = self._client.metadata(self._ranker)[RANK].inputs
        return self

    def __exit__(self, *error: object) -> None:
        self._store.close()
        self._client.close()

    def home(self, user: str) -> float:
        """Asks for 200 items and has them ranked; the seconds of the calls."""
        features = {**calendar_features(), **self._store.find(user).features, self._user: user}
        given = {K: np.asarray(CANDIDATES, np.int32), EXCLUDE: np.empty([1, 0], object)}
        question = inputs_of(features, self._recommend, given)
        ranked = inputs_of(features, self._rank, {ITEMS: np.empty(0)})
        began = time.perf_counter()
        found = self._client.predict(self._model, question, signature=RECOMMEND)
        ranked[ITEMS] = found[IDS]
        self._client.predict(self._ranker, ranked, signature=RANK)
        return time.perf_counter() - began


def take_turns(
    shopper: Shopper, models: ModelCalls, users: Sequence[str]
) -> tuple[list[float], list[Answer]]:
    """Both sides for each household, now the one first and now the other."""
    alone, answers = [], []
    for number, user in enumerate(users):
        if number % 2:
            alone.append(models.home(user))
        answers.append(shopper.home(user))
        if not number % 2:
            alone.append(models.home(user))
    assert {answer.status for answer in answers} == {200}, "a request failed"
    return alone, answers


def saturate(url: str, users: Sequence[str]) -> tuple[float, list[Answer]]:
    """All households, by several shoppers at once: requests per second."""

    def ask(some: Sequence[str]) -> list[Answer]:
        shopper = Shopper(url)
        try:
            return [shopper.home(user) for user in some]
        finally:
            shopper.close()

    began = time.perf_counter()
    with ThreadPoolExecutor(SHOPPERS) as shoppers:
        parts = list(shoppers.map(ask, [users[start::SHOPPERS] for start in range(SHOPPERS)]))
    return len(users) / (time.perf_counter() - began), [answer for part in parts for answer in part]


def report(
    alone: Sequence[float], answers: Sequence[Answer], rate: float, loaded: Sequence[Answer]
) -> None:
    print(
        f"models alone: p50 {1000 * np.percentile(alone, 50):.2f} ms,"
        f" p99 {1000 * np.percentile(alone, 99):.2f} ms"
    )
    for name, some in (("one shopper", answers), (f"{SHOPPERS} shoppers", loaded)):
        stood_in = sum(bool(answer.fallbacks) for answer in some)
        print(
            f"{name}: p50 {1000 * percentile(some, 50):.2f} ms,"
            f" p99 {1000 * percentile(some, 99):.2f} ms;"
            f" something stood in {stood_in} of {len(some):,} times"
        )
    print(f"{rate:,.0f} requests/s")


def percentile(answers: Sequence[Answer], share: float) -> float:
    return float(np.percentile([answer.seconds for answer in answers], share))


def measure_faults(
    experiment: Experiment, served: Mapping[str, Path], users: Sequence[str], scratch: Path
) -> dict[str, dict[str, Any]]:
    """Counts what shoppers are answered while parts are killed and exchanged."""
    folder = scratch / "faults"
    folder.mkdir()
    found = redis_server(folder)
    if found is None:
        raise click.ClickException("redis-server: not on the path; install it, or say --no-faults")
    redis, redis_url = found
    server, url = model_server({name: path.parent for name, path in served.items()}, folder)
    with ExitStack() as stack:
        for child in (redis, server):
            stack.enter_context(running(child))
        push_features(f"{redis_url}/0")
        opened = gateway(
            CONFIG,
            folder,
            url,
            **SERVICE,
            store=f"{redis_url}/0",
            resilience__cache__redis=f"{redis_url}/1",
        )
        address = stack.enter_context(running(opened)).split()[-1]
        counts = cause_faults(Parts(address, server, redis, served), users)
    for name, count in counts.items():
        print(f"{name}: {count}")
    return counts


def push_features(store: str) -> None:
    """Loads a store with what the prepared data know of shoppers."""
    command = [*TFREC, "features", "push", str(CONFIG), "--store", store]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
