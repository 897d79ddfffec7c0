import numpy as np
import pytest
import tensorflow as tf

from tfrec.errors import UserError
from tfrec.retrieval.brute_force import BruteForce
from tfrec.retrieval.config import Promise
from tfrec.retrieval.index import NO_ITEM
from tfrec.retrieval.measure import measure_recall
from tfrec.retrieval.scann_index import SMALLEST_TREE, Scann, keep_promise

DIM, QUERIES, K = 16, 200, 20


@pytest.fixture(scope="module")
def clusters() -> np.ndarray:
    """Vectors of length 1 around 200 centres, as a trained catalogue's are."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(200, DIM))
    vectors = centres[random.integers(200, size=SMALLEST_TREE)]
    vectors += random.normal(scale=0.3, size=vectors.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def queries(clusters: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(1)
    chosen = clusters[random.integers(len(clusters), size=QUERIES)]
    return (chosen + random.normal(scale=0.1, size=chosen.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def tree(clusters: np.ndarray) -> Scann:
    return Scann(clusters)


@pytest.fixture(scope="module")
def exact(clusters: np.ndarray) -> BruteForce:
    return BruteForce(tf.constant(clusters))


def plain_recall(index: Scann, clusters: np.ndarray, queries: np.ndarray) -> float:
    found, _ = index.search(tf.constant(queries), K)
    wanted = np.argsort(-queries @ clusters.T, axis=1)[:, :K]
    shares = [
        len(set(f) & set(w)) / K
        for f, w in zip(found.numpy().tolist(), wanted.tolist(), strict=True)
    ]
    return float(np.mean(shares))


def test_large_catalogue_is_partitioned_and_a_small_one_is_not(tree: Scann) -> None:
    assert tree.partitions == 256
    assert Scann(np.eye(DIM, dtype=np.float32)).partitions == 1


@pytest.mark.parametrize("recall", [0.6, 0.9, 0.98])
def test_promise_is_kept_by_probing_few_partitions(
    tree: Scann, exact: BruteForce, clusters: np.ndarray, queries: np.ndarray, recall: float
) -> None:
    measured = keep_promise(tree, exact, queries, Promise(recall=recall, k=K))

    assert measured >= recall
    assert measured == pytest.approx(plain_recall(tree, clusters, queries), abs=1e-3)
    assert tree.probed < tree.partitions / 2


def test_higher_promise_probes_more_partitions(
    tree: Scann, exact: BruteForce, queries: np.ndarray
) -> None:
    probed = []
    for recall in (0.2, 0.9, 0.99):
        keep_promise(tree, exact, queries, Promise(recall=recall, k=K))
        probed.append(tree.probed)

    assert probed == sorted(probed)
    assert probed[0] < probed[-1]


def test_excluded_items_are_not_returned_by_a_tree(
    tree: Scann, exact: BruteForce, queries: np.ndarray
) -> None:
    keep_promise(tree, exact, queries, Promise(recall=0.95, k=K))
    banned = exact.search(tf.constant(queries), 10)[0]

    found = tree.search(tf.constant(queries), K, banned)[0].numpy().tolist()

    wanted = exact.search(tf.constant(queries), K, banned)[0].numpy().tolist()
    assert not any(set(f) & set(out) for f, out in zip(found, banned.numpy().tolist(), strict=True))
    shares = [len(set(f) & set(w)) / K for f, w in zip(found, wanted, strict=True)]
    assert np.mean(shares) > 0.9


@pytest.mark.parametrize("k", [100, 500, 5000])
@pytest.mark.parametrize("banned", [0, 30])
def test_lists_are_full_however_few_partitions_are_probed(
    tree: Scann, queries: np.ndarray, monkeypatch: pytest.MonkeyPatch, k: int, banned: int
) -> None:
    monkeypatch.setattr(tree, "probed", 1)
    exclude = np.tile(np.arange(banned), [len(queries), 1]) if banned else None

    ids, scores = tree.search(tf.constant(queries), k, exclude)

    assert ids.shape == scores.shape == (QUERIES, k)
    assert all(len(set(row)) == k for row in ids.numpy().tolist())
    assert ids.numpy().min() >= banned
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("excluded", [False, True])
def test_list_that_the_probed_partitions_do_not_fill_ends_in_no_item(
    tree: Scann, clusters: np.ndarray, monkeypatch: pytest.MonkeyPatch, excluded: bool
) -> None:
    monkeypatch.setattr(tree, "probed", 1)
    # Every item asks for items like it; the partitions of some hold fewer than wanted.
    exclude = np.arange(len(clusters))[:, np.newaxis] if excluded else None
    k = 15 if excluded else 16

    ids, scores = tree.search(tf.constant(clusters), k, exclude)

    assert ids.shape == scores.shape == (len(clusters), k)
    found = ids.numpy() != NO_ITEM
    assert 0 < np.count_nonzero(~found.all(axis=1)) < len(clusters) / 10
    assert (found[:, :-1] >= found[:, 1:]).all()
    assert (np.isfinite(scores) == found).all()


@pytest.mark.parametrize("banned", [0, 3])
def test_list_of_a_single_query_is_as_long_as_asked_for_too(
    tree: Scann, clusters: np.ndarray, monkeypatch: pytest.MonkeyPatch, banned: int
) -> None:
    monkeypatch.setattr(tree, "probed", 1)
    k = 16 - banned
    short = np.flatnonzero((tree.search(tf.constant(clusters), 16)[0].numpy() == NO_ITEM)[:, -1])
    exclude = np.arange(banned)[np.newaxis] if banned else None

    lists = [tree.search(tf.constant(clusters[[row]]), k, exclude) for row in short[:20]]

    assert {(*ids.shape, *scores.shape) for ids, scores in lists} == {(1, k, 1, k)}
    assert any(NO_ITEM in ids.numpy() for ids, _ in lists)


def test_as_many_as_there_are_returns_every_item_once(
    tree: Scann, queries: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "probed", 1)

    ids, scores = tree.search(tf.constant(queries[:3]), tree.items)

    assert np.sort(ids, axis=1).tolist() == [list(range(tree.items))] * 3
    assert np.isfinite(scores).all()


def test_promise_that_cannot_be_kept_names_field_value_best_and_remedy(
    tree: Scann, clusters: np.ndarray, queries: np.ndarray
) -> None:
    opposite = BruteForce(tf.constant(-clusters))

    with pytest.raises(UserError) as caught:
        keep_promise(tree, opposite, queries, Promise(recall=0.5, k=K))

    assert str(caught.value) == (
        f"index.promise.recall: 0.5 at {K} cannot be kept; the best is 0.0000; lower the promise"
    )


def test_promise_about_more_items_than_there_are_is_about_all_of_them() -> None:
    vectors = np.random.default_rng(0).normal(size=(30, DIM)).astype(np.float32)
    index, exact = Scann(vectors), BruteForce(tf.constant(vectors))

    assert keep_promise(index, exact, vectors[:5], Promise(recall=1.0, k=100)) == 1.0


def test_recall_is_the_share_of_the_exact_first_items_that_are_found() -> None:
    vectors = np.eye(4, dtype=np.float32)
    index, exact = BruteForce(tf.constant(vectors)), BruteForce(tf.constant(vectors[::-1].copy()))
    queries = np.array([[4, 3, 2, 1], [4, 1, 2, 3]], np.float32)

    # The index finds {0, 1} and {0, 3}; exact is [3, 2] and [3, 0], as its rows are reversed.
    assert measure_recall(index, exact, queries, k=2) == pytest.approx((0 + 2) / 4)


def test_recall_of_many_queries_is_measured_in_several_batches() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, DIM)).astype(np.float32)
    queries = np.random.default_rng(1).normal(size=(600, DIM)).astype(np.float32)
    exact = BruteForce(tf.constant(vectors))

    assert measure_recall(exact, exact, queries, k=3) == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused_with_the_first_row(value: float) -> None:
    vectors = np.ones([20, DIM], np.float32)
    vectors[[7, 12], 3] = value

    with pytest.raises(UserError, match=r"2 item vectors are not finite, the first in row 7; "):
        Scann(vectors)


def test_empty_catalogue_is_refused() -> None:
    with pytest.raises(UserError, match=r"data\.items: the catalogue is empty"):
        Scann(np.zeros([0, DIM], np.float32))
