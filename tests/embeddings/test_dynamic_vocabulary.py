import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfrec.embeddings.dynamic_vocabulary import DynamicVocabulary
from tfrec.features.plan import Dynamic, Table
from tfrec.features.spec import EvictByAge, EvictLeastUsed

AGE = EvictByAge(by="age", after="30s")
LEAST_USED = EvictLeastUsed(by="least_used")
EVICTIONS = [None, AGE, LEAST_USED]
UNKNOWN = 3
BUCKET = 8
MISSING = -1


def make_vocabulary(capacity: int, **dynamic: Any) -> DynamicVocabulary:
    return DynamicVocabulary(Table(capacity + UNKNOWN, 4, UNKNOWN, Dynamic(**dynamic)))


def fingerprints(*names: str) -> np.ndarray:
    return tf.strings.to_hash_bucket_fast(list(names), 2**63 - 1).numpy()


def many(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(2**63 - 1, size=count)


def observe(vocabulary: DynamicVocabulary, ids: np.ndarray, times: Any = 0) -> list[int]:
    ids = np.asarray(ids, np.int64)
    times = np.broadcast_to(np.asarray(times, np.int64), ids.shape)
    return vocabulary.observe(tf.constant(ids), tf.constant(times)).numpy().tolist()


def rows_of(vocabulary: DynamicVocabulary, ids: np.ndarray) -> np.ndarray:
    return vocabulary(tf.constant(ids, tf.int64)).numpy()


def fallback(capacity: int, ids: np.ndarray) -> np.ndarray:
    return capacity + np.asarray(ids) % UNKNOWN


def test_id_takes_an_unknown_row_by_its_fingerprint_until_it_occurred_often_enough() -> None:
    vocabulary = make_vocabulary(1000, min_count=4)
    often, seldom = ids = fingerprints("often", "seldom")

    observe(vocabulary, [often, seldom, often])
    before = rows_of(vocabulary, ids)
    observe(vocabulary, [often, often, seldom, seldom])
    after = rows_of(vocabulary, ids)

    np.testing.assert_array_equal(before, fallback(1000, ids))
    assert after[0] < 1000
    assert after[1] == fallback(1000, seldom)


def test_missing_value_is_unknown_however_often_it_occurs() -> None:
    vocabulary = make_vocabulary(1000)

    observe(vocabulary, [MISSING] * 100)

    assert rows_of(vocabulary, [MISSING]) == fallback(1000, [MISSING])
    assert int(vocabulary.version) == 0


def test_empty_batch_changes_nothing() -> None:
    vocabulary = make_vocabulary(1000, evict=AGE)

    assert observe(vocabulary, []) == []
    assert rows_of(vocabulary, []).tolist() == []


def test_ids_that_occurred_often_enough_have_rows_of_their_own_as_a_dictionary_says() -> None:
    vocabulary = make_vocabulary(2**20, min_count=3)
    ids, random = many(2000), np.random.default_rng(1)
    occurred: Counter[int] = Counter()
    given: dict[int, int] = {}

    for _ in range(40):
        batch = random.choice(ids, 150, p=np.arange(2000) / np.arange(2000).sum())
        occurred.update(batch.tolist())
        assert observe(vocabulary, batch) == []
        rows = dict(zip(ids.tolist(), rows_of(vocabulary, ids).tolist(), strict=True))
        own = {id_: row for id_, row in rows.items() if row < 2**20}
        assert own.keys() == {id_ for id_, count in occurred.items() if count >= 3}
        assert own.items() >= given.items()  # nobody's row ever changes
        given = own

    assert len(given) > 500
    assert len(set(given.values())) == len(given)


def test_second_day_brings_new_ids_and_leaves_old_ones_their_rows() -> None:
    vocabulary = make_vocabulary(4096, min_count=2)
    old, new, once = np.split(many(900), 3)
    for _ in range(5):
        observe(vocabulary, old)
    first_day = rows_of(vocabulary, old)

    observe(vocabulary, np.concatenate([new, once, old]))
    for _ in range(5):
        observe(vocabulary, new)

    assert (first_day < 4096).all()
    np.testing.assert_array_equal(rows_of(vocabulary, old), first_day)
    assert (rows_of(vocabulary, new) < 4096).all()
    np.testing.assert_array_equal(rows_of(vocabulary, once), fallback(4096, once))


class OneBucket:
    """What a vocabulary of a single bucket does, in plain Python."""

    def __init__(self, min_count: int, evict: EvictByAge | EvictLeastUsed | None) -> None:
        self.min_count, self.evict = min_count, evict
        self.holders: list[int | None] = [None] * BUCKET
        self.seen, self.used = [0] * BUCKET, [0] * BUCKET
        self.missed: Counter[int] = Counter()
        self.newest = 0

    def observe(self, ids: list[int], times: list[int]) -> list[int]:
        counts = Counter(ids)
        last = {id_: max(t for i, t in zip(ids, times, strict=True) if i == id_) for id_ in counts}
        self.newest = max(self.newest, *times)
        wanting = []
        for id_, count in counts.items():
            if id_ in self.holders:
                slot = self.holders.index(id_)
                self.seen[slot] = max(self.seen[slot], last[id_])
                self.used[slot] += count
            else:
                self.missed[id_] += count
                if self.missed[id_] >= self.min_count:
                    wanting.append(id_)
        for id_ in wanting:
            slot = self._slot_for(self.missed[id_], last[id_])
            if slot is not None:
                taken = self.holders[slot] is not None
                self.holders[slot] = id_
                self.seen[slot], self.used[slot] = last[id_], self.missed[id_]
                return [slot] if taken else []
        return []

    def _slot_for(self, count: int, time: int) -> int | None:
        if None in self.holders:
            return self.holders.index(None)
        if isinstance(self.evict, EvictByAge):
            slot = min(range(BUCKET), key=self.seen.__getitem__)
            old = max(self.newest - self.evict.after, 0)
            return slot if self.seen[slot] < min(old, time) else None
        if isinstance(self.evict, EvictLeastUsed):
            slot = min(range(BUCKET), key=self.used.__getitem__)
            return slot if self.used[slot] < count else None
        return None


@pytest.mark.parametrize("evict", EVICTIONS)
def test_bucket_gives_out_and_takes_back_its_rows_as_plain_python_says(
    evict: EvictByAge | EvictLeastUsed | None,
) -> None:
    vocabulary, plain = make_vocabulary(BUCKET, min_count=2, evict=evict), OneBucket(2, evict)
    ids, random = many(20), np.random.default_rng(2)
    evicted = 0

    for batch in range(150):
        # What is in demand shifts from one end of the ids to the other.
        chosen = ids[np.minimum(random.geometric(0.3, 6) + batch // 12, 19)]
        times = random.integers(batch, batch + 20, size=6)
        taken = observe(vocabulary, chosen, times)
        assert taken == plain.observe(chosen.tolist(), times.tolist())
        evicted += len(taken)
        expected = [
            plain.holders.index(id_) if id_ in plain.holders else fallback(BUCKET, id_)
            for id_ in ids.tolist()
        ]
        assert rows_of(vocabulary, ids).tolist() == expected

    assert None not in plain.holders
    assert (evicted > 5) is (evict is not None)


def test_row_is_taken_once_its_id_was_away_for_longer_than_the_limit() -> None:
    vocabulary = make_vocabulary(1, evict=AGE)
    old, new = ids = fingerprints("old", "new")
    observe(vocabulary, [old], 100)

    at_the_limit = observe(vocabulary, [new], 130)
    kept = rows_of(vocabulary, ids)
    behind_it = observe(vocabulary, [new], 131)

    assert (at_the_limit, kept.tolist()) == ([], [0, fallback(1, new)])
    assert (behind_it, rows_of(vocabulary, ids).tolist()) == ([0], [fallback(1, old), 0])


def test_id_that_is_itself_out_of_date_takes_no_row_from_a_younger_one() -> None:
    vocabulary = make_vocabulary(1, evict=AGE)
    holder, older, newest = fingerprints("holder", "older", "newest")
    observe(vocabulary, [holder], 100)

    assert observe(vocabulary, [older, newest], [99, 1000]) == [0]
    assert rows_of(vocabulary, [older]) == fallback(1, older)
    assert rows_of(vocabulary, [newest]) == 0


def test_least_used_row_is_taken_only_by_an_id_that_occurred_more_often() -> None:
    vocabulary = make_vocabulary(2, evict=LEAST_USED)
    often, seldom, new = fingerprints("often", "seldom", "new")
    observe(vocabulary, [often] * 5)
    observe(vocabulary, [seldom] * 2)
    (row,) = rows_of(vocabulary, [seldom])

    not_yet = [observe(vocabulary, [new]) for _ in range(2)]
    now = observe(vocabulary, [new])

    assert (not_yet, now) == ([[], []], [row])
    assert rows_of(vocabulary, [often]) == 1 - row
    assert rows_of(vocabulary, [new]) == row


def test_what_was_in_demand_long_ago_leaves_in_the_end() -> None:
    vocabulary = make_vocabulary(1, evict=LEAST_USED)
    former, new = fingerprints("former", "new")
    observe(vocabulary, [former] * 100)

    epochs = 0
    while rows_of(vocabulary, [new]) != 0:
        # An epoch of a small table is some 1.3 million occurrences; these are of nobody else.
        observe(vocabulary, np.r_[np.repeat(new, 12), np.repeat(former, 1), many(1_400_000)])
        epochs += 1
        assert epochs < 20

    assert epochs > 1


@pytest.mark.parametrize("evict", EVICTIONS)
@pytest.mark.parametrize("capacity", [1, 5, 8, 21])
def test_full_table_has_all_its_rows_in_use_and_none_besides(
    capacity: int, evict: EvictByAge | EvictLeastUsed | None
) -> None:
    vocabulary = make_vocabulary(capacity, evict=evict)
    ids = many(200)

    for _ in range(2 * capacity):
        observe(vocabulary, ids)
    rows = rows_of(vocabulary, ids)

    own = rows < capacity
    assert sorted(rows[own]) == list(range(capacity))
    np.testing.assert_array_equal(rows[~own], fallback(capacity, ids)[~own])


def test_nine_of_ten_ids_find_a_row_in_a_table_that_they_would_fill() -> None:
    vocabulary = make_vocabulary(20_000)
    ids = many(20_000)

    for _ in range(10):
        observe(vocabulary, ids)

    assert (rows_of(vocabulary, ids) < 20_000).mean() > 0.93


def test_version_rises_with_each_batch_that_gives_out_rows() -> None:
    vocabulary = make_vocabulary(100)
    versions = []

    for batch in (["a", "b"], ["a", "b"], ["c"], []):
        observe(vocabulary, fingerprints(*batch))
        versions.append(int(vocabulary.version))

    assert versions == [1, 1, 2, 2]


@pytest.mark.parametrize("evict", EVICTIONS)
def test_restored_vocabulary_finds_the_same_rows_and_goes_on_alike(
    evict: EvictByAge | EvictLeastUsed | None, tmp_path: Path
) -> None:
    first, second = (make_vocabulary(100, min_count=2, evict=evict) for _ in range(2))
    ids, random = many(300), np.random.default_rng(3)
    batches = [random.choice(ids, 50) for _ in range(60)]
    for time, batch in enumerate(batches[:30]):
        observe(first, batch, time)

    saved = tf.train.Checkpoint(vocabulary=first).save(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(vocabulary=second).restore(saved).assert_consumed()

    np.testing.assert_array_equal(rows_of(first, ids), rows_of(second, ids))
    for time, batch in enumerate(batches[30:], 30):
        assert observe(first, batch, time) == observe(second, batch, time)
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_lookup_is_part_of_a_saved_graph(tmp_path: Path) -> None:
    vocabulary = make_vocabulary(100)
    known, unseen = ids = fingerprints("known", "unseen")
    observe(vocabulary, [known])
    module = tf.Module()
    module.weights = vocabulary.weights
    module.rows = tf.function(
        vocabulary.call, autograph=False, input_signature=[tf.TensorSpec([None], tf.int64)]
    )

    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    rows = loaded.rows(tf.constant(ids)).numpy()

    assert rows[0] < 100
    assert rows[1] == fallback(100, unseen)
    np.testing.assert_array_equal(rows, rows_of(vocabulary, ids))


@pytest.mark.parametrize("strategy", ["mirrored", "parameter_server"])
def test_strategies_keep_the_table_that_one_device_would(strategy: str) -> None:
    script = Path(__file__).parents[1] / "observe_with.py"

    done = subprocess.run(
        [sys.executable, str(script), strategy],
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1"},
        capture_output=True,
        text=True,
        timeout=800,
    )

    assert done.returncode == 0, done.stderr[-3000:]
