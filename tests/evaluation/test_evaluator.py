import json
import math
from collections.abc import Callable

import numpy as np
import pytest

from tfrec.data.query_set import QuerySet
from tfrec.evaluation.config import Protocol, SliceConfig
from tfrec.evaluation.evaluator import Evaluation, evaluate
from tfrec.evaluation.intervals import bootstrap, compare
from tfrec.evaluation.measures import Items

USERS, ITEMS = 300, 40
COUNTS = np.arange(ITEMS)
CHANNELS = ["app", "web", "shop"]


class Fixed:
    """Scores shoppers `user-0`, `user-1`, ... as a matrix says."""

    def __init__(self, scores: np.ndarray) -> None:
        self._scores = scores

    def scores(self, queries: QuerySet) -> np.ndarray:
        return self._scores[[int(user.removeprefix("user-")) for user in queries.users]]


class Past:
    """A shop's test window, and what three rankers make of it."""

    def __init__(self, make_queries: Callable[..., QuerySet]) -> None:
        random = np.random.default_rng(0)
        self.relevant = [set(random.integers(ITEMS, size=n)) for n in random.integers(1, 6, USERS)]
        self.seen = [set(random.integers(ITEMS, size=n)) for n in random.integers(0, 40, USERS)]
        self.channel = random.choice(CHANNELS, USERS, p=[0.6, 0.37, 0.03]).tolist()
        self.queries = make_queries(
            relevant=[list(map(int, items)) for items in self.relevant],
            seen=[list(map(int, items)) for items in self.seen],
            channel=self.channel,
        )
        self.scores = {
            name: random.normal(size=(USERS, ITEMS)).astype(np.float32)
            for name in ("model", "first", "second")
        }
        for user, items in enumerate(self.relevant):  # or else no ranker is better than another
            self.scores["model"][user, list(items)] += 1.5

    def evaluate(self, items: Items | None = None, **fields: object) -> Evaluation:
        rankers = {name: Fixed(scores) for name, scores in self.scores.items()}
        protocol = Protocol(**{"k": (5,), "resamples": 200, **fields})
        return evaluate(rankers, self.queries, items or Items(COUNTS), protocol)

    def recalls(
        self, ranker: str, k: int, new: bool, cold: int | None = None
    ) -> list[float | None]:
        """Each shopper's recall, none with nothing to find, by plain Python."""
        values: list[float | None] = []
        for row, wanted, seen in zip(self.scores[ranker], self.relevant, self.seen, strict=True):
            out = seen if new else set()
            best = sorted(set(range(ITEMS)) - out, key=lambda item: -row[item])[:k]
            wanted = {item for item in wanted - out if cold is None or COUNTS[item] < cold}
            values.append(len(wanted & set(best)) / len(wanted) if wanted else None)
        return values


@pytest.fixture(scope="module")
def past(make_queries: Callable[..., QuerySet]) -> Past:
    return Past(make_queries)


def mean(values: list[float | None]) -> float:
    return float(np.mean([value for value in values if value is not None]))


@pytest.mark.parametrize("name", ["all", "new_to_shopper"])
def test_means_equal_a_plain_recomputation(past: Past, name: str) -> None:
    summary = past.evaluate(k=(2, 5)).summary()

    for ranker in past.scores:
        found = summary["metrics"][ranker][name]
        for k in (2, 5):
            values = past.recalls(ranker, k, name == "new_to_shopper")
            assert found[f"recall@{k}"] == pytest.approx(mean(values))
        assert found["users"] == USERS - values.count(None)
        assert summary["left_out"][name] == values.count(None)
    assert summary["left_out"]["new_to_shopper"] > summary["left_out"]["all"] == 0
    assert list(found) == ["users", "recall@2", "ndcg@2", "recall@5", "ndcg@5", "mrr"]


def test_slices_equal_the_metrics_of_their_shoppers(past: Past) -> None:
    slices = (SliceConfig(feature="channel"), SliceConfig(cold_users=5))

    metrics = past.evaluate(slices=slices).summary()["metrics"]["model"]

    values = past.recalls("model", 5, new=True)
    for channel in CHANNELS[:2]:
        own = [v for v, c in zip(values, past.channel, strict=True) if c == channel]
        found = metrics[f"new_to_shopper/channel={channel}"]
        assert found["recall@5"] == pytest.approx(mean(own))
        assert found["users"] == len(own) - own.count(None)
    values = past.recalls("model", 5, new=False)
    own = [v for v, seen in zip(values, past.seen, strict=True) if len(seen) < 5]
    assert metrics["all/cold_users<5"]["recall@5"] == pytest.approx(mean(own))


def test_slice_of_too_few_shoppers_has_no_number(past: Past) -> None:
    assert 0 < past.channel.count("shop") < 20

    summary = past.evaluate(slices=(SliceConfig(feature="channel"),)).summary()

    name = "all/channel=shop"
    assert summary["metrics"]["model"][name] == {
        "users": past.channel.count("shop"), "recall@5": None, "ndcg@5": None, "mrr": None,
    }  # fmt: skip
    assert summary["intervals"]["model"][name] == {}
    assert summary["comparisons"]["first"][name] == {}


def test_only_cold_items_are_relevant_in_their_slice(past: Past) -> None:
    metrics = past.evaluate(slices=(SliceConfig(cold_items=9),)).summary()["metrics"]["model"]

    for name, new in (("all", False), ("new_to_shopper", True)):
        values = past.recalls("model", 5, new, cold=9)
        found = metrics[f"{name}/cold_items<9"]
        assert found["recall@5"] == pytest.approx(mean(values))
        assert found["users"] == USERS - values.count(None) < metrics[name]["users"]


def test_intervals_and_comparisons_are_those_of_the_shoppers_values(past: Past) -> None:
    summary = past.evaluate(seed=4).summary()

    values = {
        ranker: np.array(past.recalls(ranker, 5, new=False), float)[:, np.newaxis]
        for ranker in past.scores
    }
    for ranker, column in values.items():
        interval = summary["intervals"][ranker]["all"]["recall@5"]
        assert interval == pytest.approx(np.ravel(bootstrap(column, 200, seed=4)), rel=1e-5)
        low, high = interval
        assert low < summary["metrics"][ranker]["all"]["recall@5"] < high
    assert list(summary["comparisons"]) == ["first", "second"]
    expected = compare(values["model"], values["second"], 200, seed=4)
    found = summary["comparisons"]["second"]["all"]["recall@5"]
    for field in ("difference", "low", "high", "p_value"):
        assert found[field] == pytest.approx(getattr(expected, field)[0], rel=1e-5)
    assert found["difference"] > 0
    assert found["p_value"] == pytest.approx(1 / 201)


def test_every_shoppers_values_are_kept(past: Past) -> None:
    table = past.evaluate().table().to_pandas()

    for ranker in past.scores:
        for name, new in (("all", False), ("new_to_shopper", True)):
            rows = table[(table.ranker == ranker) & (table.slice == name)]
            values = past.recalls(ranker, 5, new)
            kept = [(f"user-{n}", v) for n, v in enumerate(values) if v is not None]
            assert rows["_user"].tolist() == [user for user, _ in kept]
            assert rows["recall@5"].tolist() == pytest.approx([value for _, value in kept])


def test_measures_of_lists_need_no_relevant_item_but_are_of_the_same_shoppers(past: Past) -> None:
    categories = np.arange(ITEMS) % 3
    metrics = ("coverage", "gini", "novelty", "intra_list_diversity", "recall")

    summary = past.evaluate(Items(COUNTS, None, categories), metrics=metrics, seen="keep").summary()

    found = summary["metrics"]["model"]["all"]
    best = np.argsort(-past.scores["model"], axis=1)[:, :5]
    assert list(found) == ["users", *(f"{metric}@5" for metric in metrics)]
    assert found["coverage@5"] == len(np.unique(best)) / ITEMS
    bits = -np.log2((COUNTS + 1) / (COUNTS.sum() + ITEMS))
    assert found["novelty@5"] == pytest.approx(bits[best].mean())
    kinds = categories[best]
    other = (kinds[:, :, None] != kinds[:, None, :]).sum() / (USERS * 5 * 4)
    assert found["intra_list_diversity@5"] == pytest.approx(other)
    assert "coverage@5" not in summary["intervals"]["model"]["all"]


def test_diversity_uses_vectors_where_there_are_no_categories(past: Past) -> None:
    vectors = np.eye(ITEMS, dtype=np.float32)

    found = past.evaluate(Items(COUNTS, vectors), metrics=("intra_list_diversity",)).summary()

    assert found["metrics"]["model"]["all"]["intra_list_diversity@5"] == pytest.approx(1)


def test_figures_of_sampled_candidates_are_named_sampled(past: Past) -> None:
    evaluation = past.evaluate(candidates={"sampled": 20})

    summary = evaluation.summary()
    assert summary["protocol"]["sampled"]
    assert summary["protocol"]["candidates"] == "sampled: 20 items, uniform, seed 0"
    names = ["sampled_recall@5", "sampled_ndcg@5", "sampled_mrr"]
    assert list(summary["metrics"]["model"]["all"]) == ["users", *names]
    assert list(summary["intervals"]["model"]["all"]) == names
    assert list(summary["comparisons"]["first"]["all"]) == names
    assert evaluation.table().column_names[3:] == names


def test_sampled_figures_are_the_same_again_and_above_those_of_full_ranking(past: Past) -> None:
    first, again, full = (
        past.evaluate(candidates=candidates).summary()["metrics"]["first"]["all"]
        for candidates in ({"sampled": 8}, {"sampled": 8}, "full")
    )

    assert first == again
    assert first["sampled_recall@5"] > full["recall@5"] + 0.1


def test_nobody_to_measure_gives_no_number(make_queries: Callable[..., QuerySet]) -> None:
    queries = make_queries(relevant=[[0]], seen=[[0]])

    found = evaluate(
        {"model": Fixed(np.array([[1.0, 0.0]])), "other": Fixed(np.array([[0.0, 1.0]]))},
        queries,
        Items(np.ones(2)),
        Protocol(k=(1,), metrics=("recall", "coverage")),
    )

    summary = found.summary()
    assert summary["left_out"] == {"all": 0, "new_to_shopper": 1}
    for figures in (summary["metrics"]["model"], summary["intervals"]["model"]):
        assert np.isnan(figures["new_to_shopper"]["recall@1"]).all()
    assert math.isnan(summary["comparisons"]["other"]["new_to_shopper"]["recall@1"]["p_value"])
    json.dumps(summary)


def test_progress_is_told_by_ranker(past: Past) -> None:
    heard: list[tuple[str, int, int]] = []
    rankers = {name: Fixed(scores) for name, scores in past.scores.items()}

    evaluate(
        rankers, past.queries, Items(COUNTS), Protocol(k=(5,)), lambda *told: heard.append(told)
    )

    assert [told for told in heard if told[1] == told[2]] == [
        (name, USERS, USERS) for name in rankers
    ]
