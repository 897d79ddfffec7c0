"""Rows of an embedding table that are given out, while a model trains, to the ids that occur."""

from collections.abc import Sequence

import tensorflow as tf
import tf_keras

from tfrec.embeddings.aged_counts import AgedCounts
from tfrec.embeddings.count_min_sketch import CountMinSketch
from tfrec.embeddings.hashing import multiply_shift
from tfrec.features.plan import Table
from tfrec.features.spec import EvictByAge, EvictLeastUsed

_WAYS = 8
"""Slots of a bucket: as many keys as a cache line holds."""

_FREE = -2
_CHOICES = 2
_SKETCH_LINES = 3
_COUNTERS_PER_ROW = 2
_EPOCH_PER_ROW = 10
_FEWEST_ROWS = 2**17


class DynamicVocabulary(tf_keras.layers.Layer):
    """Finds ids' rows by their fingerprints, and gives rows out to ids that occur often enough.

    The rows are the slots of a hash table, in buckets of eight; two hashes of a fingerprint choose
    two buckets. An id without a slot shares one of the unknown rows. The work of a step depends on
    the ids of its batch, never on the table.

    Occurrences of ids without a row are counted in a sketch. One that was counted `min_count` times
    takes a free slot of the emptier one of its buckets, or else one that may be taken:

    - evicted by age: the slot of the id that has not occurred for the longest time, if that is
      longer than `after` before the newest occurrence seen, and longer than for the new id;
    - evicted as least used: the slot of the id that occurred least, if that is less often than the
      new one.

    A row that nobody wants is never taken, however old. Counts are halved each time that ten
    occurrences for each row have gone by, at least 1.3 million: what was in demand long ago leaves
    in the end, and ids that are rare throughout do not add up to `min_count`.

    All state is in variables, and so in the model's checkpoints. Workers of a cluster write them
    without locks. Of two ids that enter a bucket at the same time one stays, and the other must
    occur again. An id that takes two slots uses one of them. A count may lack what was added at the
    same time. A row that is found is in the table in any case.

    Attributes:
      version: int64 scalar, how many steps have given out rows.

    Source: admission and ageing: Einziger et al., TinyLFU: A Highly Efficient Cache Admission
    Policy, ACM Transactions on Storage 2017. Two buckets: Azar et al., Balanced Allocations, SIAM
    Journal on Computing 1999.
    """

    def __init__(self, table: Table, name: str | None = None) -> None:
        """Makes the variables for a table whose rows are given out.

        Of each row they take 8 bytes for the key, 24 for the sketch, and for eviction by age 8, of
        the least used 4. A sketch has at least 3 MB.
        """
        super().__init__(name=name)
        assert table.dynamic is not None
        self._min_count, self._evict = table.dynamic.min_count, table.dynamic.evict
        self._unknown_rows = table.unknown_rows
        self._capacity = table.rows - table.unknown_rows
        self._buckets = -(-self._capacity // _WAYS)
        self._keys = self._counter("keys", [self._buckets, _WAYS], _FREE)
        if isinstance(self._evict, EvictByAge):
            self._seen = self._counter("seen", [self._buckets * _WAYS])
            self._newest = self._counter("newest")
        if isinstance(self._evict, EvictLeastUsed):
            used = self._counter("used", [self._buckets * _WAYS], dtype=tf.int32)
            self._used = AgedCounts(used)
        rows = max(self._capacity, _FEWEST_ROWS)
        width = _COUNTERS_PER_ROW * rows
        counters = self._counter("sketch", [_SKETCH_LINES * width], dtype=tf.int32)
        self._sketch = CountMinSketch(AgedCounts(counters), _SKETCH_LINES, width)
        self._epoch_length = _EPOCH_PER_ROW * rows
        self._occurrences = self._counter("occurrences")
        self.version = self._counter("version")

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """Finds rows; nothing is counted or changed.

        Args:
          ids: `[n]` int64 fingerprints; -1 where the value is missing.

        Returns:
          `[n]` int64 rows of the table: an id's own, or an unknown one, by its fingerprint.
        """
        distinct, position = tf.unique(ids)
        found = self._find(distinct)
        unknown = self._capacity + distinct % self._unknown_rows
        return tf.gather(tf.where(found >= 0, found, unknown), position)

    def observe(self, ids: tf.Tensor, times: tf.Tensor) -> tf.Tensor:
        """Counts what occurs in a batch of training, and gives out rows.

        One id enters a bucket in a call at the most; others wait for their next occurrence.
        Replicas that train in step observe the batches of all of them.

        Args:
          ids: `[n]` int64 fingerprints, one for each occurrence; -1 where the value is missing.
          times: `[n]` int64 seconds since 1970, the moment of each.

        Returns:
          `[m]` int64 rows that were taken from one id for another, each once: what was learned in
          them is the old one's, and is to be forgotten.
        """
        ids, counts, times = _distinct(*_of_all_replicas(ids, times))
        self._occurrences.assign_add(tf.reduce_sum(counts))
        epoch = self._occurrences // self._epoch_length
        if isinstance(self._evict, EvictByAge):
            self._newest.assign(tf.reduce_max(tf.concat([times, [self._newest]], 0)))
        slots = self._find(ids)
        self._touch(epoch, *_masked(slots >= 0, slots, counts, times))
        ids, counts, times = _masked(slots < 0, ids, counts, times)
        counts = self._sketch.add(ids, counts, epoch)
        return self._admit(epoch, *_masked(counts >= self._min_count, ids, counts, times))

    def _counter(
        self,
        name: str,
        shape: Sequence[int] = (),
        initial: int = 0,
        dtype: tf.DType = tf.int64,
    ) -> tf.Variable:
        initializer = tf_keras.initializers.Constant(initial)
        return self.add_weight(name, shape, dtype, initializer, trainable=False)

    def _buckets_of(self, ids: tf.Tensor) -> tf.Tensor:
        """The buckets in which ids may stand: `[n, choices]`."""
        hashes = range(_SKETCH_LINES, _SKETCH_LINES + _CHOICES)
        return tf.stack([multiply_shift(ids, hash_, self._buckets) for hash_ in hashes], 1)

    def _find(self, ids: tf.Tensor) -> tf.Tensor:
        """The slot in which each id stands, `[n]`; -1 where in none."""
        buckets = self._buckets_of(ids)
        keys = tf.nn.embedding_lookup(self._keys, buckets)  # [n, choices, ways]
        is_own = keys == ids[:, tf.newaxis, tf.newaxis]
        return tf.reduce_max(tf.where(is_own, _slots(buckets), -1), axis=[1, 2])

    def _touch(
        self, epoch: tf.Tensor, slots: tf.Tensor, counts: tf.Tensor, times: tf.Tensor
    ) -> None:
        """Notes that the holders of `[n]` distinct slots have occurred."""
        if isinstance(self._evict, EvictByAge):
            self._seen.scatter_max(tf.IndexedSlices(times, slots))
        if isinstance(self._evict, EvictLeastUsed):
            self._used.raise_to(slots, self._used.read(slots, epoch) + counts, epoch)

    def _admit(
        self, epoch: tf.Tensor, ids: tf.Tensor, counts: tf.Tensor, times: tf.Tensor
    ) -> tf.Tensor:
        """Gives slots to those of `[n]` ids that find one; returns the slots taken from others."""
        buckets = self._buckets_of(ids)
        keys = tf.nn.embedding_lookup(self._keys, buckets)  # [n, choices, ways]
        slots = _slots(buckets)
        held, offer = self._worth(epoch, slots, counts, times)
        free = tf.cast(keys == _FREE, tf.int64)
        worth = tf.where(keys == _FREE, -tf.reduce_sum(free, axis=2, keepdims=True), held)
        worth = tf.where(slots < self._capacity, worth, tf.int64.max)
        worth = tf.reshape(worth, [-1, _CHOICES * _WAYS])
        best = tf.argmin(worth, axis=1)
        bucket = tf.gather(buckets, best // _WAYS, batch_dims=1)
        holders = tf.gather(keys, best // _WAYS, batch_dims=1)  # [n, ways]
        bucket, ids, counts, times, way, holders = _first_of_each(
            *_masked(
                tf.reduce_min(worth, axis=1) < offer,
                *(bucket, ids, counts, times, best % _WAYS, holders),
            )
        )
        self._enter(epoch, bucket * _WAYS + way, counts, times)
        is_way = tf.range(_WAYS, dtype=tf.int64) == way[:, tf.newaxis]
        entered = tf.where(is_way, ids[:, tf.newaxis], holders)
        self._keys.scatter_update(tf.IndexedSlices(entered, bucket))
        was_held = tf.reduce_any(is_way & (holders != _FREE), axis=1)
        return tf.boolean_mask(bucket * _WAYS + way, was_held)

    def _worth(
        self, epoch: tf.Tensor, slots: tf.Tensor, counts: tf.Tensor, times: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """What slots, of any shape, are worth to their holders, and what `[n]` ids offer.

        Both are at least 0; an id may take a slot that is worth less than it offers.
        """
        if isinstance(self._evict, EvictByAge):
            old = tf.maximum(self._newest - self._evict.after, 0)
            return tf.nn.embedding_lookup(self._seen, slots), tf.minimum(times, old)
        if isinstance(self._evict, EvictLeastUsed):
            return self._used.read(slots, epoch), counts
        return tf.zeros_like(slots), tf.zeros_like(counts)

    def _enter(
        self, epoch: tf.Tensor, slots: tf.Tensor, counts: tf.Tensor, times: tf.Tensor
    ) -> None:
        """Notes that `[n]` distinct slots are given out."""
        if isinstance(self._evict, EvictByAge):
            self._seen.scatter_update(tf.IndexedSlices(times, slots))
        if isinstance(self._evict, EvictLeastUsed):
            self._used.raise_to(slots, counts, epoch)
        self.version.assign_add(tf.cast(tf.size(slots) > 0, tf.int64))


def _slots(buckets: tf.Tensor) -> tf.Tensor:
    """The slots of buckets: `[n, choices]` -> `[n, choices, ways]`."""
    return buckets[:, :, tf.newaxis] * _WAYS + tf.range(_WAYS, dtype=tf.int64)


def _of_all_replicas(*columns: tf.Tensor) -> Sequence[tf.Tensor]:
    """What all replicas that train in step have, behind each other: each keeps the same table."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return columns
    return [context.all_gather(column, axis=0) for column in columns]


def _distinct(ids: tf.Tensor, times: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Distinct ids but for missing ones, how often each occurs, and when last."""
    ids, times = _masked(ids >= 0, ids, times)
    distinct, position, counts = tf.unique_with_counts(ids, tf.int64)
    last = tf.math.unsorted_segment_max(times, position, tf.size(distinct))
    return distinct, counts, tf.maximum(last, 0)


def _masked(mask: tf.Tensor, *columns: tf.Tensor) -> list[tf.Tensor]:
    places = tf.where(mask)[:, 0]
    return [tf.gather(column, places) for column in columns]


def _first_of_each(key: tf.Tensor, *columns: tf.Tensor) -> list[tf.Tensor]:
    """Keeps the first row of each different value of `key`, the first column."""
    distinct, position = tf.unique(key)
    rows = tf.range(tf.size(key))
    first = tf.math.unsorted_segment_min(rows, position, tf.size(distinct))
    return [tf.gather(column, first) for column in (key, *columns)]
