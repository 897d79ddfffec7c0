import math
from collections.abc import Callable

import numpy as np
import pytest

from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.evaluation import full_ranking
from tfrec.evaluation.config import ALL, NEW, Candidates, Protocol
from tfrec.evaluation.full_ranking import rank
from tfrec.evaluation.lists import Lists

USERS, ITEMS = 600, 30
COUNTS = np.arange(ITEMS)


class Fixed:
    """Scores shoppers `user-0`, `user-1`, ... as a matrix says."""

    def __init__(self, scores: np.ndarray) -> None:
        self._scores = scores

    def scores(self, queries: QuerySet) -> np.ndarray:
        return self._scores[[int(user.removeprefix("user-")) for user in queries.users]]


def ranked(
    scores: np.ndarray,
    queries: QuerySet,
    k: int,
    counts: np.ndarray | None = None,
    **fields: object,
) -> dict[str, Lists]:
    counts = np.ones(scores.shape[1], int) if counts is None else counts
    return rank(Fixed(scores), queries, counts, Protocol(k=(k,), metrics=("recall",), **fields))


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
@pytest.mark.parametrize("score_bytes", [1, 4000, 1 << 26])
def test_both_rankings_equal_a_plain_sort(
    make_queries: Callable[..., QuerySet],
    bought: tuple[list[list[int]], list[list[int]]],
    scores: np.ndarray,
    k: int,
    score_bytes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(full_ranking, "_SCORE_BYTES", score_bytes)

    lists = ranked(scores, make_queries(*bought), k)

    relevant, seen = ([set(rows) for rows in lists] for lists in bought)
    nothing: list[set[int]] = [set()] * USERS
    for name, left_out in ((ALL, nothing), (NEW, seen)):
        found = lists[name]
        for row, (wanted, out) in enumerate(zip(relevant, left_out, strict=True)):
            possible = [i for i in range(ITEMS) if scores[row, i] > -math.inf and i not in out]
            best = sorted(possible, key=lambda item: -scores[row, item])[:k]
            padding = [-1] * (k - len(best))
            assert found.items[row].tolist() == best + padding
            assert found.hits[row].tolist() == [i in wanted - out for i in best + padding]
            assert found.relevant[row] == len(wanted - out)
    assert (lists[NEW].relevant == 0).any()


def test_seen_items_are_excluded_or_kept_as_the_protocol_says(
    make_queries: Callable[..., QuerySet],
) -> None:
    queries = make_queries(relevant=[[0, 2]], seen=[[0]])
    scores = np.array([[3.0, 2.0, 1.0]])

    assert list(ranked(scores, queries, 1)) == [ALL, NEW]
    (kept,) = ranked(scores, queries, 1, seen="keep").values()
    assert (kept.items.tolist(), kept.relevant.tolist()) == ([[0]], [2])
    (excluded,) = ranked(scores, queries, 1, seen="exclude").values()
    assert (excluded.items.tolist(), excluded.relevant.tolist()) == ([[1]], [1])


def test_cutoff_above_the_catalogue_is_refused(make_queries: Callable[..., QuerySet]) -> None:
    queries = make_queries(relevant=[[0]], seen=[[]])

    with pytest.raises(UserError, match=r"evaluation\.k: 4 is more than the 3 items .*; lower it"):
        ranked(np.zeros([1, 3]), queries, 4)


def test_score_that_is_not_a_number_is_an_error_that_names_ranker_and_batch(
    make_queries: Callable[..., QuerySet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(full_ranking, "_SCORE_BYTES", 2 * 4 * 2)  # two shoppers together
    queries = make_queries(relevant=[[0]] * 4, seen=[[], [], [], [1]])
    scores = np.zeros([4, 2])
    scores[3, 1] = np.nan

    for seen in ("both", "exclude"):
        with pytest.raises(
            ValueError, match=r"Fixed scores NaN for 1 of the shoppers 2 to 3, such as \['user-3'\]"
        ):
            ranked(scores, queries, 1, seen=seen)


def test_scores_of_another_catalogue_are_refused(make_queries: Callable[..., QuerySet]) -> None:
    queries = make_queries(relevant=[[0]], seen=[[]])

    with pytest.raises(
        ValueError, match=r"Fixed gives scores of shape \(1, 3\) instead of \(1, 5\)"
    ):
        ranked(np.zeros([1, 3]), queries, 1, counts=np.ones(5, int))


@pytest.mark.parametrize("writeable", [True, False])
def test_scores_that_a_ranker_keeps_for_itself_are_not_changed(
    make_queries: Callable[..., QuerySet], writeable: bool
) -> None:
    class Cached:
        """Gives out the same array each time."""

        kept = np.array([[3.0, 2.0, 1.0]])

        def scores(self, queries: QuerySet) -> np.ndarray:
            return self.kept

    Cached.kept.setflags(write=writeable)
    queries = make_queries(relevant=[[1]], seen=[[0]])

    lists = rank(Cached(), queries, np.ones(3, int), Protocol(k=(1,)))

    assert not lists[ALL].hits.any()
    assert lists[NEW].hits.all()
    assert Cached.kept.tolist() == [[3, 2, 1]]


def test_recall_of_equal_scores_is_that_of_chance_wherever_the_relevant_item_is(
    make_queries: Callable[..., QuerySet],
) -> None:
    shoppers, items, k = 4000, 40, 4
    for item in (0, 17, items - 1):
        queries = make_queries(relevant=[[item]] * shoppers, seen=[[]] * shoppers)
        found = ranked(np.zeros([shoppers, items]), queries, k, seen="keep")[ALL]
        assert found.hits.any(axis=1).mean() == pytest.approx(k / items, abs=0.02)


def test_the_same_seed_gives_the_same_lists_and_another_one_others(
    make_queries: Callable[..., QuerySet],
) -> None:
    queries = make_queries(relevant=[[0]] * 50, seen=[[]] * 50)

    first, same, other = (
        ranked(np.zeros([50, 99]), queries, 5, seen="keep", seed=seed)[ALL].items
        for seed in (1, 1, 2)
    )

    np.testing.assert_array_equal(first, same)
    assert (first != other).any(axis=1).all()


@pytest.mark.parametrize("by", ["uniform", "popularity"])
def test_sampled_lists_hold_the_relevant_items_and_as_many_others_as_asked_for(
    make_queries: Callable[..., QuerySet],
    bought: tuple[list[list[int]], list[list[int]]],
    by: str,
) -> None:
    relevant, _ = ([set(rows) for rows in lists] for lists in bought)
    seen = [{(user + n) % ITEMS for n in range(5)} for user in range(USERS)]
    queries = make_queries([list(rows) for rows in relevant], [list(rows) for rows in seen])
    candidates = Candidates(sampled=10, by=by)

    lists = rank(
        Fixed(np.tile(np.arange(ITEMS, dtype=np.float32), (USERS, 1))),
        queries,
        COUNTS,
        Protocol(k=(10,), metrics=("recall", "mrr@10"), candidates=candidates),
    )

    for user in range(USERS):
        for name, out in ((ALL, set()), (NEW, seen[user])):
            wanted = relevant[user] - out
            shown = lists[name].items[user].tolist()
            assert len(set(shown)) == 10
            assert not set(shown) & out
            assert shown == sorted(shown, reverse=True)
            below = [item for item in wanted if item not in shown]
            assert all(item < shown[-1] for item in below)
            if by == "popularity":
                assert 0 not in set(shown) - wanted  # nobody ever took it


@pytest.mark.parametrize("by", ["uniform", "popularity"])
def test_items_are_sampled_with_the_chances_asked_for(
    make_queries: Callable[..., QuerySet], by: str
) -> None:
    shoppers = 20_000
    queries = make_queries(relevant=[[4]] * shoppers, seen=[[]] * shoppers)
    counts = np.array([1, 2, 3, 4, 50])
    scores = np.tile(np.array([0, 0, 0, 0, -1], np.float32), (shoppers, 1))

    protocol = Protocol(
        k=(1,), metrics=("recall",), seen="keep", candidates=Candidates(sampled=1, by=by)
    )
    drawn = rank(Fixed(scores), queries, counts, protocol)[ALL].items[:, 0]

    shares = np.bincount(drawn, minlength=5) / shoppers
    expected = [0.25] * 4 if by == "uniform" else [0.1, 0.2, 0.3, 0.4]
    assert shares == pytest.approx([*expected, 0], abs=0.015)


def test_more_samples_than_items_are_refused(make_queries: Callable[..., QuerySet]) -> None:
    queries = make_queries(relevant=[[0]], seen=[[]])

    for by, possible in (("uniform", 5), ("popularity", 2)):
        with pytest.raises(
            UserError, match=rf"candidates\.sampled: 6 is more than the {possible} "
        ):
            ranked(
                np.zeros([1, 5]),
                queries,
                1,
                counts=np.array([1, 0, 0, 2, 0]),
                candidates=Candidates(sampled=6, by=by),
            )
