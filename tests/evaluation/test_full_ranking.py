import math
from collections.abc import Callable

import numpy as np
import pytest

from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.evaluation.full_ranking import evaluate, top

USERS, ITEMS = 600, 30


class Fixed:
    """Scores shoppers `user-0`, `user-1`, ... as a matrix says."""

    def __init__(self, scores: np.ndarray) -> None:
        self._scores = scores

    def scores(self, queries: QuerySet) -> np.ndarray:
        return self._scores[[int(user.removeprefix("user-")) for user in queries.users]]


def plain_means(
    scores: np.ndarray, relevant: list[set[int]], left_out: list[set[int]], k: int
) -> dict[str, float]:
    """Recall, NDCG and reciprocal rank at `k`, from their definitions."""
    found: dict[str, list[float]] = {"recall": [], "ndcg": [], "mrr": []}
    for row, wanted, out in zip(scores, relevant, left_out, strict=True):
        wanted = wanted - out
        if not wanted:
            continue
        possible = [item for item in range(len(row)) if row[item] > -math.inf and item not in out]
        ranked = sorted(possible, key=lambda item: -row[item])[:k]
        places = [place for place, item in enumerate(ranked, 1) if item in wanted]
        best = sum(1 / math.log2(place + 1) for place in range(1, min(len(wanted), k) + 1))
        found["recall"].append(len(places) / len(wanted))
        found["ndcg"].append(sum(1 / math.log2(place + 1) for place in places) / best)
        found["mrr"].append(1 / places[0] if places else 0)
    return {name: float(np.mean(values)) for name, values in found.items()}


@pytest.fixture
def bought() -> tuple[list[list[int]], list[list[int]]]:
    """Item rows that shoppers bought in the window and before it, with repetitions."""
    random = np.random.default_rng(0)
    relevant = [random.integers(ITEMS, size=n).tolist() for n in random.integers(1, 6, USERS)]
    seen = [random.integers(ITEMS, size=n).tolist() for n in random.integers(0, 40, USERS)]
    return relevant, seen


@pytest.fixture
def scores() -> np.ndarray:
    """Random scores, some items of which are never recommended."""
    random = np.random.default_rng(1)
    scores = random.normal(size=(USERS, ITEMS)).astype(np.float32)
    scores[random.random(scores.shape) < 0.2] = -np.inf
    return scores


@pytest.mark.parametrize("k", [1, 7, ITEMS])
def test_both_slices_equal_a_plain_recomputation(
    make_queries: Callable[..., QuerySet],
    bought: tuple[list[list[int]], list[list[int]]],
    scores: np.ndarray,
    k: int,
) -> None:
    metrics = evaluate(Fixed(scores), make_queries(*bought), [k])

    relevant, seen = ([set(rows) for rows in lists] for lists in bought)
    nothing: list[set[int]] = [set()] * USERS
    for name, left_out in (("all", nothing), ("new_to_shopper", seen)):
        expected = plain_means(scores, relevant, left_out, k)
        found = metrics[name]
        assert found["users"] == sum(
            bool(r - out) for r, out in zip(relevant, left_out, strict=True)
        )
        assert found[f"recall@{k}"] == pytest.approx(expected["recall"])
        assert found[f"ndcg@{k}"] == pytest.approx(expected["ndcg"])
        assert found["mrr"] == pytest.approx(expected["mrr"])
    assert metrics["new_to_shopper"]["users"] < USERS


def test_each_cutoff_is_measured_and_the_reciprocal_rank_looks_at_the_longest(
    make_queries: Callable[..., QuerySet],
) -> None:
    queries = make_queries(relevant=[[2]], seen=[[]])

    metrics = evaluate(Fixed(np.array([[4.0, 3.0, 2.0, 1.0]])), queries, [1, 3])

    assert metrics["all"] == {
        "users": 1,
        "recall@1": 0.0,
        "ndcg@1": 0.0,
        "recall@3": 1.0,
        "ndcg@3": 0.5,
        "mrr": pytest.approx(1 / 3),
    }


def test_what_was_bought_before_is_neither_ranked_nor_wanted_in_the_new_slice(
    make_queries: Callable[..., QuerySet],
) -> None:
    queries = make_queries(relevant=[[0, 2], [1]], seen=[[0, 1], [1]])

    metrics = evaluate(Fixed(np.array([[9.0, 8.0, 7.0, 6.0]] * 2)), queries, [1])

    assert metrics["new_to_shopper"]["users"] == 1
    assert metrics["new_to_shopper"]["recall@1"] == 1.0
    assert metrics["all"]["recall@1"] == pytest.approx((0.5 + 0) / 2)


def test_slice_without_shoppers_has_no_metrics(make_queries: Callable[..., QuerySet]) -> None:
    queries = make_queries(relevant=[[0]], seen=[[0]])

    metrics = evaluate(Fixed(np.array([[1.0, 0.0]])), queries, [1])

    assert metrics["new_to_shopper"]["users"] == 0
    assert math.isnan(metrics["new_to_shopper"]["recall@1"])


def test_items_that_are_never_recommended_are_no_hits(
    make_queries: Callable[..., QuerySet],
) -> None:
    queries = make_queries(relevant=[[1]], seen=[[]])

    metrics = evaluate(Fixed(np.full([1, 3], -np.inf)), queries, [3])

    assert metrics["all"]["recall@3"] == 0
    assert metrics["all"]["mrr"] == 0


def test_cutoff_above_the_catalogue_is_refused(make_queries: Callable[..., QuerySet]) -> None:
    queries = make_queries(relevant=[[0]], seen=[[]])

    with pytest.raises(UserError, match=r"evaluation\.k: 4 is more than the 3 items .*; lower it"):
        evaluate(Fixed(np.zeros([1, 3])), queries, [2, 4])


def test_score_that_is_not_a_number_is_an_error_that_names_the_ranker(
    make_queries: Callable[..., QuerySet],
) -> None:
    queries = make_queries(relevant=[[0], [0]], seen=[[], []])

    with pytest.raises(ValueError, match=r"Fixed scores NaN for shoppers \['user-0', 'user-1'\]"):
        evaluate(Fixed(np.array([[1.0, 2.0], [np.nan, 0.0]])), queries, [1])


def test_best_places_are_found_best_first() -> None:
    scores = np.random.default_rng(0).normal(size=(20, 50))

    for k in (1, 10, 50):
        np.testing.assert_array_equal(top(scores, k), np.argsort(-scores, axis=1)[:, :k])


def test_scores_that_a_ranker_keeps_for_itself_are_not_written_to(
    make_queries: Callable[..., QuerySet],
) -> None:
    class Cached:
        """Gives out the same array each time."""

        kept = np.array([[3.0, 2.0, 1.0]])

        def scores(self, queries: QuerySet) -> np.ndarray:
            return self.kept

    Cached.kept.setflags(write=False)
    queries = make_queries(relevant=[[1]], seen=[[0]])

    metrics = evaluate(Cached(), queries, [1])

    assert metrics["all"]["recall@1"] == 0
    assert metrics["new_to_shopper"]["recall@1"] == 1
    assert evaluate(Cached(), queries, [1]) == metrics
