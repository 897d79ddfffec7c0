import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from tfrec.retrieval.brute_force import BruteForce
from tfrec.retrieval.chunked_flat import ChunkedFlat
from tfrec.retrieval.live import LiveIndex
from tfrec.retrieval.partitioned import Partitioned
from tfrec.retrieval.partitioned_flat import PartitionedFlat
from tfrec.retrieval.scann_index import Scann
from tfrec.retrieval.vector_index import VectorIndex

ITEMS, DIM, SLOTS = 60, 4, 16
NOTHING = [[""]]


class Shelf(NamedTuple):
    """A live index as a bundle holds one, and what must be in it."""

    live: LiveIndex
    search: Callable
    search_only: Callable
    search_exact: Callable
    put: Callable
    remove: Callable
    vectors: dict[str, np.ndarray]

    def best(self, query: np.ndarray, k: int, without: tuple[str, ...] = ()) -> list[str]:
        """The plain answer."""
        names = [name for name in self.vectors if name not in without]
        return sorted(names, key=lambda name: -self.vectors[name] @ query)[:k]


def name(row: int) -> str:
    return f"item {row:02}"


def make(kind: type[VectorIndex]) -> Shelf:
    vectors = np.random.default_rng(0).normal(size=(ITEMS, DIM)).astype(np.float32)
    live = LiveIndex(kind(vectors), [name(row) for row in range(ITEMS)], DIM, SLOTS)

    def ask(find: Callable) -> Callable:
        def answer(queries: Any, k: Any, ids: Any = NOTHING) -> tuple[tf.Tensor, tf.Tensor]:
            moment = live.now()
            with tf.control_dependencies([moment.cells]):
                cells, scores = find(queries, k, live.find(ids, moment), moment)
                return live.ids(cells), scores

        strings = tf.TensorSpec([None, None], tf.string)
        floats = tf.TensorSpec([None, DIM], tf.float32)
        return tf.function(answer, [floats, tf.TensorSpec([], tf.int32), strings], autograph=False)

    def only(queries: Any, k: Any, cells: Any, moment: Any) -> tuple[tf.Tensor, tf.Tensor]:
        allowed = tf.reduce_any(tf.range(ITEMS + SLOTS, dtype=tf.int64) == cells[..., None], 1)
        return live.search_allowed(queries, k, allowed, moment)

    return Shelf(
        live,
        ask(live.search),
        ask(only),
        ask(lambda queries, k, _, moment: live.search_exact(queries, k, moment)),
        tf.function(lambda ids, vectors: live.put(ids, vectors, lambda *_: []), autograph=False),
        tf.function(live.remove, autograph=False),
        {name(row): vector for row, vector in enumerate(vectors)},
    )


@pytest.fixture(params=[BruteForce, Partitioned, ChunkedFlat, PartitionedFlat, Scann])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    return make(request.param)


@pytest.fixture
def queries() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(3, DIM)).astype(np.float32)


def listed(answer: tuple[tf.Tensor, tf.Tensor]) -> list[list[str]]:
    return [[item.decode() for item in row if item] for row in answer[0].numpy()]


def put(shelf: Shelf, vectors: dict[str, np.ndarray]) -> int:
    shelf.vectors.update(vectors)
    room = shelf.put(tf.constant(list(vectors)), tf.constant(np.stack(list(vectors.values()))))
    return int(room)


def remove(shelf: Shelf, *ids: str) -> list[bool]:
    for item in ids:
        shelf.vectors.pop(item, None)
    return shelf.remove(tf.constant(list(ids))).numpy().tolist()


def check(shelf: Shelf, queries: np.ndarray, k: int = 8) -> None:
    """All ways to search give the plain answer."""
    nothing = np.full([len(queries), 1], "")
    want = [shelf.best(query, k) for query in queries]
    assert listed(shelf.search(queries, k, nothing)) == want
    assert listed(shelf.search_exact(queries, k, nothing)) == want
    every = np.array([list(shelf.vectors)] * len(queries))
    assert listed(shelf.search_only(queries, k, every)) == want


def test_index_answers_as_it_was_built(shelf: Shelf, queries: np.ndarray) -> None:
    check(shelf, queries)


def test_added_changed_and_removed_items_are_found_at_once(
    shelf: Shelf, queries: np.ndarray
) -> None:
    first, second, *_ = shelf.best(queries[0], 8)

    assert put(shelf, {"new": 3 * queries[0], second: -queries[0]}) == SLOTS - 2
    check(shelf, queries)
    assert remove(shelf, first, "unheard of", first) == [True, False, True]
    check(shelf, queries)
    assert remove(shelf, "new", second, first) == [True, True, False]
    check(shelf, queries)
    assert put(shelf, {first: 2 * queries[0], "new": queries[1]}) == SLOTS - 4
    check(shelf, queries)


def test_list_is_full_where_most_of_its_items_are_gone(shelf: Shelf, queries: np.ndarray) -> None:
    remove(shelf, *shelf.best(queries[0], 40))

    check(shelf, queries, k=15)


def test_changed_item_is_excluded_and_allowed_by_its_id(shelf: Shelf, queries: np.ndarray) -> None:
    query = queries[0]
    first, second, *_ = shelf.best(query, 2)
    put(shelf, {second: 5 * query, "new": 4 * query})
    given = query[np.newaxis], 4

    found = listed(shelf.search(*given, [[second, "new", "unheard of"]]))

    assert found == [shelf.best(query, 4, without=(second, "new"))]
    assert listed(shelf.search_only(*given, [["new", first, ""]])) == [["new", first]]


@pytest.mark.parametrize(
    ("ids", "vector", "reason"),
    [
        (["a", "b", "a"], 1.0, "ids: one comes twice"),
        (["a", ""], 1.0, "ids: one is empty"),
        (["a", "b"], np.nan, "ids: the vectors are not finite of a, b"),
        ([str(n) for n in range(SLOTS + 1)], 1.0, "ids: 17 items do not fit, there is room for 16"),
    ],
)
def test_what_cannot_be_put_changes_nothing(
    queries: np.ndarray, ids: list[str], vector: float, reason: str
) -> None:
    shelf = make(BruteForce)

    with pytest.raises(tf.errors.InvalidArgumentError, match=reason):
        shelf.put(tf.constant(ids), tf.fill([len(ids), DIM], tf.constant(vector, tf.float32)))

    check(shelf, queries)
    assert put(shelf, {"new": queries[0]}) == SLOTS - 1
    check(shelf, queries)


def test_no_answer_mixes_two_states() -> None:
    """Writers hold two items each, one of them up and one down, and let them change places.

    A search that sees half of a change finds an item twice, or not at all, or both of two up.
    """
    pairs, answers, slots = 4, 1500, 40_000
    names = [f"{number}" for number in range(2 * pairs)]
    up, down = np.eye(DIM, dtype=np.float32)[0], -np.eye(DIM, dtype=np.float32)[0]
    ways = [tf.constant(np.stack(way)) for way in ((up, down), (down, up))]
    live = LiveIndex(BruteForce(np.stack([up, down] * pairs)), names, DIM, slots)
    put_pair = tf.function(
        lambda ids, pair: live.put(ids, pair, lambda *_: []),
        [tf.TensorSpec([2], tf.string), tf.TensorSpec([2, DIM], tf.float32)],
        autograph=False,
    )

    @tf.function(autograph=False)
    def ask() -> tuple[tf.Tensor, tf.Tensor]:
        moment = live.now()
        with tf.control_dependencies([moment.cells]):
            nothing = live.find(tf.constant([[""]]), moment)
            cells, scores = live.search(up[np.newaxis], tf.constant(2 * pairs), nothing, moment)
            return live.ids(cells)[0], scores[0]

    done = threading.Event()

    def write(pair: int) -> int:
        ids = tf.constant(names[2 * pair : 2 * pair + 2])
        for number in range(slots // (2 * pairs)):
            put_pair(ids, ways[(number + 1) % 2])
            if done.is_set():
                return number
        raise AssertionError("the readers are too slow")

    def read(_: int) -> list[tuple[list[bytes], list[float]]]:
        return [(ids.numpy().tolist(), scores.numpy().tolist()) for ids, scores in asked()]

    def asked() -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        for _ in range(answers):
            yield ask()

    ask()
    with ThreadPoolExecutor(2 + pairs) as threads:
        writers = [threads.submit(write, pair) for pair in range(pairs)]
        seen = [answer for one in threads.map(read, range(2)) for answer in one]
        done.set()
        changes = [writer.result() for writer in writers]

    assert sum(changes) > 20
    assert len({tuple(ids[:pairs]) for ids, _ in seen}) > 3
    for ids, scores in seen:
        assert sorted(ids) == sorted(name.encode() for name in names)
        assert scores == [1.0] * pairs + [-1.0] * pairs
        assert {int(item) // 2 for item in ids[:pairs]} == set(range(pairs))
