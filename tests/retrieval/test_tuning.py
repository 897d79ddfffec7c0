import itertools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from index_graphs import search

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.retrieval import tuning
from tfrec.retrieval.brute_force import BruteForce
from tfrec.retrieval.chunked import Chunked
from tfrec.retrieval.chunked_flat import ChunkedFlat
from tfrec.retrieval.config import IndexConfig, Kind, Promise
from tfrec.retrieval.index import Index
from tfrec.retrieval.measure import measure_memory
from tfrec.retrieval.partitioned import Partitioned
from tfrec.retrieval.partitioned_flat import PartitionedFlat
from tfrec.retrieval.scann_index import SMALLEST_PARTITIONED, Scann
from tfrec.retrieval.tuning import Measurement, Tuned, choose_kind, pareto_front, tune

ITEMS, DIM, K = 400, 8, 10


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ITEMS, DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(60, DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def tuned(vectors: np.ndarray, queries: np.ndarray) -> Tuned:
    """As a large catalogue is tuned, of which queries are searched for one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "AT_ONCE_UP_TO", ITEMS - 1)
        return tune("partitioned", vectors, queries, Promise(recall=0.9, k=K))


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets every setting take longer than the one that was tried before it."""
    times = itertools.count(1.0, 0.01)
    monkeypatch.setattr(tuning, "measure_latency", lambda *_: next(times))
    monkeypatch.setitem(tuning._RESCORED, Partitioned, (2.0,))


def plain_recall(index: Index, vectors: np.ndarray, queries: np.ndarray, k: int) -> float:
    found = search(index, queries, k)[0].numpy().tolist()
    wanted = np.argsort(-queries @ vectors.T, axis=1)[:, :k].tolist()
    return float(np.mean([len(set(f) & set(w)) / k for f, w in zip(found, wanted, strict=True)]))


def measurement(recall: float, milliseconds: float) -> Measurement:
    return Measurement("scann", 4, "", 1, 1, recall, milliseconds, 1, 1)


@pytest.mark.parametrize(
    ("fields", "items", "kind"),
    [
        ({}, SMALLEST_PARTITIONED - 1, "brute_force"),
        ({}, SMALLEST_PARTITIONED, "scann"),
        ({"runs_on": "tensorflow_serving"}, SMALLEST_PARTITIONED - 1, "brute_force"),
        ({"runs_on": "tensorflow_serving"}, SMALLEST_PARTITIONED, "partitioned"),
        ({"kind": "partitioned"}, 10, "partitioned"),
        ({"kind": "brute_force"}, 1_000_000, "brute_force"),
    ],
)
def test_kind_follows_from_the_catalogue_and_where_it_runs_unless_it_is_named(
    fields: dict[str, str], items: int, kind: Kind
) -> None:
    assert choose_kind(IndexConfig.model_validate(fields), items) == kind


def test_chosen_index_keeps_the_promise_with_some_of_its_partitions(
    tuned: Tuned, vectors: np.ndarray, queries: np.ndarray
) -> None:
    chosen = tuned.chosen

    assert isinstance(tuned.index, Chunked)
    assert chosen in tuned.measured
    assert chosen.recall >= 0.9
    assert chosen.recall == pytest.approx(plain_recall(tuned.index, vectors, queries, K), abs=1e-3)
    assert chosen.probed < chosen.partitions == tuned.index.partitions
    assert chosen.megabytes == pytest.approx(measure_memory(tuned.index), abs=0.1)


def test_partitions_far_behind_are_left_out_as_far_as_the_promise_allows(
    tuned: Tuned, vectors: np.ndarray, queries: np.ndarray
) -> None:
    pruned = [one for one in tuned.measured if one.reach is not None]
    index = ChunkedFlat(vectors, pruned[0].partitions)
    index.probe([(K, pruned[0].probed)], pruned[0].rescored)
    index.prune([(K, pruned[0].reach)])
    recall = plain_recall(index, vectors, queries, K)
    index.prune([(K, 0.9 * pruned[0].reach)])

    assert recall == pytest.approx(pruned[0].recall, abs=1e-3)
    assert all(one.recall >= 0.9 for one in pruned)
    assert plain_recall(index, vectors, queries, K) < recall


def test_fastest_settings_that_keep_the_promise_are_compared_in_the_same_seconds(
    vectors: np.ndarray, queries: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was the slowest of them before is the fastest, when all are a hundred times slower."""
    times = itertools.count(1.0)
    in_turns = tuning._timed_in_turns

    def later(*asked: Any) -> dict[Measurement, Measurement]:
        nonlocal times
        times = itertools.count(1000.0, -1)
        return in_turns(*asked)

    monkeypatch.setattr(tuning, "measure_latency", lambda *_: next(times))
    monkeypatch.setattr(tuning, "_timed_in_turns", later)
    monkeypatch.setattr(tuning, "_FINALISTS", 2)
    tuned = tune("partitioned", vectors, queries, Promise(recall=0.9, k=K))

    enough = [one for one in tuned.measured if one.recall >= 0.9]
    anew = [one for one in enough if one.milliseconds > 500]
    assert tuned.chosen == anew[-1] == min(anew, key=lambda one: one.milliseconds)
    assert enough[:2] == anew != enough


def test_settings_that_take_too_much_memory_take_no_turns(
    tuned: Tuned, vectors: np.ndarray, queries: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last to be tried are the largest, and here the fastest."""
    times = itertools.count(1000.0, -1)
    monkeypatch.setattr(tuning, "measure_latency", lambda *_: next(times))
    monkeypatch.setattr(tuning, "AT_ONCE_UP_TO", ITEMS - 1)
    monkeypatch.setattr(tuning, "_FINALISTS", 1)
    sizes = {one.megabytes for one in tuned.measured if one.recall >= 0.9}

    promise = Promise(recall=0.9, k=K, megabytes=min(sizes))
    chosen = tune("partitioned", vectors, queries, promise).chosen

    assert chosen.megabytes == min(sizes) < max(sizes)


def test_fastest_together_is_not_chosen_where_one_query_takes_too_long(
    vectors: np.ndarray, queries: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, together = {40: 5.0, 80: 4.0}, {40: 1.0, 80: 9.0}
    of_search: dict[int, int] = {}
    traced = tuning.traced

    def remembered(index: Index, dim: int) -> object:
        search = traced(index, dim)
        of_search[id(search)] = getattr(index, "partitions", 0)
        return search

    def latency(search: object, queries: np.ndarray, k: int, asked: int = 1) -> float:
        return (alone if asked == 1 else together)[of_search[id(search)]]

    monkeypatch.setattr(tuning, "traced", remembered)
    monkeypatch.setattr(tuning, "measure_latency", latency)
    chosen = [
        tune("partitioned", vectors, queries, Promise(recall=0.5, k=K, milliseconds=most)).chosen
        for most in (6, 4.5)
    ]

    assert [one.partitions for one in chosen] == [40, 80]


def test_builds_differ_in_partitions_in_what_they_hold_and_in_copies(tuned: Tuned) -> None:
    assert {(one.kind, one.partitions, one.setting) for one in tuned.measured} == {
        ("partitioned", 40, "40 partitions of vectors"),
        ("partitioned", 80, "80 partitions of vectors"),
        ("partitioned", 80, "80 partitions of codes, items in 1"),
        ("partitioned", 80, "80 partitions of codes, items in 2"),
    }
    assert {one.rescored for one in tuned.measured} == {1.0, 1.2, 2.0}


def test_small_catalogue_is_searched_by_its_vectors(
    vectors: np.ndarray, queries: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "AT_ONCE_UP_TO", ITEMS)

    tuned = tune("partitioned", vectors, queries, Promise(recall=0.9, k=K))

    assert isinstance(tuned.index, PartitionedFlat)
    assert {(one.partitions, one.setting, one.rescored) for one in tuned.measured} == {
        (40, "40 partitions of vectors", 1.0),
        (80, "80 partitions of vectors", 1.0),
    }
    assert all(one.reach is None for one in tuned.measured)
    for times in (1, 2, 4, 10, 16):
        assert plain_recall(tuned.index, vectors, queries, times * K) >= 0.9 - 0.01, times


def test_longer_lists_are_as_good_as_the_one_that_was_promised(
    tuned: Tuned, vectors: np.ndarray, queries: np.ndarray
) -> None:
    for times in (2, 4, 10, 16):
        recall = plain_recall(tuned.index, vectors, queries, times * K)
        assert recall >= 0.9 - 0.01, times


@pytest.mark.usefixtures("timed")
def test_higher_promise_searches_more_partitions(vectors: np.ndarray, queries: np.ndarray) -> None:
    shares = []
    for recall in (0.3, 0.9, 0.999):
        promise = Promise(recall=recall, k=K)
        chosen = tune("partitioned", vectors, queries, promise).chosen
        assert chosen.recall >= recall
        shares.append(chosen.probed / chosen.partitions)

    assert shares[0] < shares[1] < shares[2]


def test_promise_is_kept_by_scann(
    clusters: np.ndarray, near_items: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tuning._RESCORED, Scann, (4.0,))

    found = tune("scann", clusters, near_items, Promise(recall=0.9, k=20))

    assert isinstance(found.index, Scann)
    assert plain_recall(found.index, clusters, near_items, 20) >= 0.9 - 1e-3
    assert found.chosen.probed < found.chosen.partitions / 2
    assert len({one.setting for one in found.measured}) == 3
    for setting in {one.setting for one in found.measured}:
        tried = [one for one in found.measured if one.setting == setting]
        enough = min(one.probed for one in tried if one.recall >= 0.9)
        too_few = [one.probed for one in tried if one.recall < 0.9]
        fewest = min(one.probed for one in tried)
        assert fewest <= 4 * 20 * tried[0].partitions / len(clusters) + 1
        assert enough == fewest or enough - max(too_few) <= max(1, 0.05 * enough)


def test_scann_of_a_small_catalogue_is_built_once(vectors: np.ndarray, queries: np.ndarray) -> None:
    found = tune("scann", vectors, queries, Promise(recall=1.0, k=K))

    assert {(one.partitions, one.setting) for one in found.measured} == {(1, "scored whole")}
    assert found.chosen.recall == 1


def test_exact_search_is_measured_once(vectors: np.ndarray, queries: np.ndarray) -> None:
    found = tune("brute_force", vectors, queries, Promise(recall=1.0, k=K))

    assert isinstance(found.index, BruteForce)
    assert found.measured == (found.chosen,)
    assert found.chosen[:6] == ("brute_force", 1, "", 1, 1, 1.0)


def test_promise_about_more_items_than_there_are_is_about_all_of_them(
    queries: np.ndarray,
) -> None:
    few = np.random.default_rng(2).normal(size=(30, DIM)).astype(np.float32)

    found = tune("partitioned", few, queries, Promise(recall=1.0, k=100))

    ids, _ = found.index.search(tf.constant(queries[:2]), 30)
    assert found.chosen.recall == 1
    assert np.sort(ids, axis=1).tolist() == [list(range(30))] * 2


@pytest.mark.usefixtures("timed")
def test_progress_is_told_before_each_build(vectors: np.ndarray, queries: np.ndarray) -> None:
    told: list[tuple[str, int, int]] = []

    tune("partitioned", vectors, queries, Promise(recall=0.1, k=K), lambda *one: told.append(one))

    assert told == [("40 partitions of vectors", 0, 2), ("80 partitions of vectors", 1, 2)]


@pytest.mark.usefixtures("timed")
def test_recall_that_cannot_be_kept_names_the_best(
    vectors: np.ndarray, queries: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "measure_recall", lambda *_: 0.25)

    with pytest.raises(UserError) as caught:
        tune("partitioned", vectors, queries, Promise(recall=0.5, k=K))

    assert str(caught.value) == (
        "index.promise.recall: 0.5 at 10 cannot be kept; the best is 0.2500; lower the promise"
    )


def test_memory_that_no_index_fits_into_names_the_smallest(
    vectors: np.ndarray, queries: np.ndarray
) -> None:
    with pytest.raises(UserError, match=r"^index\.promise\.megabytes: 0\.001 cannot be kept; the"):
        tune("brute_force", vectors, queries, Promise(recall=0.1, k=K, megabytes=0.001))


def test_time_that_no_search_keeps_names_the_fastest(
    vectors: np.ndarray, queries: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "measure_latency", lambda *_: 7.5)

    with pytest.raises(UserError) as caught:
        tune("brute_force", vectors, queries, Promise(k=K, milliseconds=7))

    assert str(caught.value) == (
        "index.promise.milliseconds: 7 cannot be kept at recall 0.95; the fastest search takes "
        "7.5; raise it, or lower index.promise.recall"
    )


@pytest.mark.usefixtures("timed")
def test_memory_ceiling_leaves_out_what_is_larger(
    vectors: np.ndarray, queries: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {40: 3.0, 80: 9.0}
    monkeypatch.setattr(tuning, "measure_memory", lambda index: sizes[index.partitions])

    found = tune("partitioned", vectors, queries, Promise(recall=0.5, k=K, megabytes=5))

    assert found.chosen.partitions == 40
    assert {one.partitions for one in found.measured} == {40, 80}


def test_pareto_front_is_what_no_other_beats_in_both() -> None:
    random = np.random.default_rng(3)
    measured = [measurement(*pair) for pair in np.round(random.random([60, 2]), 1).tolist()]

    front = pareto_front(measured)

    def beaten(one: Measurement) -> bool:
        return any(
            other.recall >= one.recall
            and other.milliseconds <= one.milliseconds
            and (other.recall, other.milliseconds) != (one.recall, one.milliseconds)
            for other in measured
        )

    expected = {one[5:7] for one in measured if not beaten(one)}
    assert [one[5:7] for one in front] == sorted(expected, key=lambda pair: pair[1])
    assert pareto_front([]) == []


def test_kind_that_the_server_cannot_load_is_refused() -> None:
    with pytest.raises(UserError, match=r"kind scann needs operations that tensorflow_serving has"):
        validate(IndexConfig, {"kind": "scann", "runs_on": "tensorflow_serving"}, "index")
