"""What is gathered of two rankers on a few shoppers whose items have hostile names."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from tfrec.data.catalogue import ID, NAME, Catalogue
from tfrec.data.query_set import QuerySet
from tfrec.evaluation.config import Protocol
from tfrec.evaluation.evaluator import evaluate
from tfrec.evaluation.lists import Lists
from tfrec.evaluation.measures import Items
from tfrec.evaluation.report import Cost, Gathering, IndexChoice
from tfrec.evaluation.report.page import render

USERS, ITEMS = 60, 30
COUNTS = np.arange(ITEMS) ** 2
HOSTILE = "<script>alert('$x_1$')</script>"
COSTS = [Cost("prepare", 30.0, 2_000_000_000), Cost("train", 5400.0, 3_210_000_000)]
MODEL = {"template": "tfrec.models.TwoTower", "strategy": "single", "parameters": 1_234_567}


class Fixed:
    """Scores shoppers `user-0`, `user-1`, ... as a matrix says."""

    def __init__(self, scores: np.ndarray) -> None:
        self._scores = scores

    def scores(self, queries: QuerySet) -> np.ndarray:
        return self._scores[[int(user.removeprefix("user-")) for user in queries.users]]


@dataclass
class Found:
    """An evaluation, and all that its page is made of."""

    protocol: Protocol
    queries: QuerySet
    summary: dict[str, Any]
    gathering: Gathering
    lists: dict[str, dict[str, Lists]] = field(default_factory=dict)

    def render(self, choice: IndexChoice | None = None) -> str:
        blessing = {"blessed": False, "because": HOSTILE, "rules": [HOSTILE]}
        summary = {"blessing": blessing, **self.summary}
        return render(summary, self.gathering, self.protocol, MODEL, COSTS, "test", choice)


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    path = tmp_path_factory.mktemp("catalogue") / "catalogue.parquet"
    names = [f"{HOSTILE} {number}" for number in range(ITEMS)]
    ids = [f"id-{number}" for number in range(ITEMS)]
    pa.parquet.write_table(pa.table({ID: ids, NAME: names}), path)
    return Catalogue(path)


@pytest.fixture(scope="session")
def make_found(make_queries: Callable[..., QuerySet], catalogue: Catalogue) -> Callable[..., Found]:
    """Evaluates two rankers by a protocol."""

    def make(**fields: Any) -> Found:
        random = np.random.default_rng(0)
        relevant = [random.integers(ITEMS, size=n).tolist() for n in random.integers(1, 5, USERS)]
        seen = [random.integers(ITEMS, size=n).tolist() for n in random.integers(0, 12, USERS)]
        channel = ["app", "web"] * (USERS // 2 - 1) + ["kiosk", "web"]
        queries = make_queries(relevant, seen, channel=channel)
        rankers = {
            name: Fixed(random.normal(size=(USERS, ITEMS)).astype(np.float32))
            for name in ("model", "popularity")
        }
        content = {"k": (3, 12), "resamples": 100, "slices": ("channel",), **fields}
        protocol, items = Protocol.model_validate(content), Items(COUNTS)
        found = Found(protocol, queries, {}, Gathering(protocol, items, queries, catalogue))

        def listen(ranker: str, lists: dict[str, Lists]) -> None:
            found.lists[ranker] = dict(lists)
            found.gathering.add_lists(ranker, lists)

        evaluation = evaluate(rankers, queries, items, protocol, listener=listen)
        found.summary = evaluation.summary()
        return found

    return make


@pytest.fixture(scope="session")
def found(make_found: Callable[..., Found]) -> Found:
    return make_found()
