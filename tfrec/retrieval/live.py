"""An index whose items change while it answers."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from tfrec.retrieval.cells import Cells, Slots
from tfrec.retrieval.index import NO_ITEM, best, marked

_LOCK = "tfrec_live_items"

Search = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


class Searched(Protocol):
    """An index, or its SavedModel."""

    search: Search
    search_allowed: Search
    search_exact: Search
    vectors_of: Callable[[tf.Tensor], tf.Tensor]


class Moment(NamedTuple):
    """What there is at one moment, however much changes afterwards.

    Attributes:
      cells: `[items + slots]` int64, the cell of each item; `NO_ITEM` for one that is not there.
      written: int32, how many slots may be in use.
      stale: int32, how many items are no longer in the cell they were built in, about.
    """

    cells: tf.Tensor
    written: tf.Tensor
    stale: tf.Tensor


class LiveIndex(tf.Module):
    """An index, with what was added or changed since it was built beside it.

    An item as it is at a time is a cell: the rows of the index are the first cells, and each change
    takes the next slot behind them. Cells are written once. Which cell each item is in is one
    variable that changes in one operation; a request reads it once, so it never sees half of a
    change. Items in slots are scored exactly.

    Attributes:
      items: how many items the index was built of.
      slots: how many changes there is room for.
    """

    def __init__(self, index: Searched, ids: Sequence[str], dim: int, slots: int) -> None:
        """Takes an index.

        Args:
          index: what was built.
          ids: the items' ids by row.
          dim: floats of a vector.
          slots: how many changes there is room for, at least 1.
        """
        super().__init__()
        self.items, self.slots, self._index = len(ids), slots, index
        strings = np.asarray(ids, dtype=object)
        self._ids = Cells(strings, slots)
        self._vectors = Slots(slots, np.empty([0, dim], np.float32))
        self._owners = Slots(slots, np.empty(0, np.int64))
        # An item's number is the first cell that it was in.
        self._numbers = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, NO_ITEM)
        self._numbers.insert(tf.constant(strings), tf.range(self.items, dtype=tf.int64))
        cells = np.r_[np.arange(self.items), np.full(slots, NO_ITEM)]
        self._cells = tf.Variable(cells, trainable=False, dtype=tf.int64)
        self._written = tf.Variable(0, trainable=False)
        self._stale = tf.Variable(0, trainable=False)

    def now(self) -> Moment:
        """Reads what there is.

        All else about that moment has to be read under `tf.control_dependencies` of its cells.
        """
        cells = self._cells.read_value()
        with tf.control_dependencies([cells]):
            return Moment(cells, self._written.read_value(), self._stale.read_value())

    def find(self, ids: tf.Tensor, moment: Moment) -> tf.Tensor:
        """Finds items by their ids: `[...]` strings -> `[...]` int64 cells, or `NO_ITEM`."""
        numbers = self._number_of(ids)
        cells = tf.gather(moment.cells, tf.maximum(numbers, 0))
        return tf.where(numbers < 0, tf.constant(NO_ITEM, tf.int64), cells)

    def ids(self, cells: tf.Tensor) -> tf.Tensor:
        """Names items: `[...]` int64 cells -> `[...]` strings, empty for `NO_ITEM`."""
        return tf.where(cells == NO_ITEM, "", self._ids.gather(tf.maximum(cells, 0)))

    def there(self, moment: Moment) -> tf.Tensor:
        """Says which cells hold an item: `[items + slots]` bool."""
        built = moment.cells[: self.items] == tf.range(self.items, dtype=tf.int64)
        rest = tf.fill([self.slots - moment.written], False)
        return tf.concat([built, self._slots_there(moment), rest], 0)

    def search(
        self, queries: tf.Tensor, k: tf.Tensor, exclude: tf.Tensor, moment: Moment
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Finds the best items that are there and not excluded.

        Args:
          queries: `[batch, dim]` float32.
          k: how many items, at most as many as the index was built of.
          exclude: `[batch, n]` int64 cells never to return, filled up with `NO_ITEM`.
          moment: when.

        Returns:
          cells: `[batch, k]` int64, best first; `NO_ITEM` behind the last item that is left.
          scores: `[batch, k]` float32; -inf there.
        """
        built = self._search_built(queries, k, exclude, moment)
        excluded = tf.reduce_any(self._slot_cells(moment) == exclude[:, :, tf.newaxis], 1)
        return self._with_slots(built, queries, k, ~excluded, moment)

    def search_allowed(
        self, queries: tf.Tensor, k: tf.Tensor, allowed: tf.Tensor, moment: Moment
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Finds the best items that are there, in cells that each query allows.

        Args:
          queries: `[batch, dim]` float32.
          k: how many items, at most as many as the index was built of.
          allowed: `[batch, items + slots]` bool.
          moment: when.

        Returns:
          As `search`.
        """
        return self._among(self._index.search_allowed, queries, k, allowed, moment)

    def search_exact(
        self, queries: tf.Tensor, k: tf.Tensor, moment: Moment
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The same in all cells, exactly."""
        every = tf.fill([tf.shape(queries)[0], self.items + self.slots], True)
        return self._among(self._index.search_exact, queries, k, every, moment)

    def vectors_of(self, cells: tf.Tensor) -> tf.Tensor:
        """The vectors of items: `[n]` int64 cells, none of them `NO_ITEM` -> `[n, dim]` float32."""
        built = self._index.vectors_of(tf.minimum(cells, self.items - 1))
        changed = self._vectors.gather(tf.maximum(cells - self.items, 0))
        return tf.where(cells[:, tf.newaxis] < self.items, built, changed)

    def put(
        self,
        ids: tf.Tensor,
        vectors: tf.Tensor,
        write: Callable[[tf.Tensor, tf.Tensor], Sequence[tf.Tensor]],
    ) -> tf.Tensor:
        """Adds items, or puts others in their place: one change, seen whole or not at all.

        Args:
          ids: `[n]` distinct strings, none of them empty.
          vectors: `[n, dim]` finite float32.
          write: takes the slots, `[n]` int32, and the cells in which the items were, `[n]` int64,
            and writes what else is known of them.

        Returns:
          How many more changes there is room for: int32.

        Raises:
          tf.errors.InvalidArgumentError: if an id is empty or comes twice, a vector is not finite,
            or there is no room left for all; then nothing is changed.
        """

        def change() -> tf.Tensor:
            written = self._written.read_value()
            after = written + tf.size(ids)
            with tf.control_dependencies(_refusals(ids, vectors, self.slots - written)):
                # Before anything else: what fails half-way must never be written over.
                taken = self._written.assign(after)
            with tf.control_dependencies([taken]):
                slots = tf.range(written, after)
            cells = tf.cast(self.items + slots, tf.int64)
            known = self._number_of(ids)
            numbers = tf.where(known < 0, cells, known)
            before = tf.where(known < 0, known, tf.gather(self._cells, tf.maximum(known, 0)))
            with tf.control_dependencies([slots, before]):
                done = [
                    self._vectors.write(slots, vectors),
                    self._owners.write(slots, numbers),
                    self._ids.write(slots, ids),
                    self._numbers.insert(ids, numbers),
                    *write(slots, before),
                ]
            with tf.control_dependencies(done):
                moved = self._move(numbers, cells)
            with tf.control_dependencies([moved]):
                return self.slots - after

        return _alone(change)

    def remove(self, ids: tf.Tensor) -> tf.Tensor:
        """Takes items out, in one change.

        Args:
          ids: `[n]` strings.

        Returns:
          `[n]` bool: whether there was such an item.
        """

        def change() -> tf.Tensor:
            numbers = self._number_of(ids)
            there = (numbers >= 0) & (tf.gather(self._cells, tf.maximum(numbers, 0)) >= 0)
            leaving = tf.unique(tf.boolean_mask(numbers, there)).y
            nowhere = tf.fill(tf.shape(leaving), tf.constant(NO_ITEM, tf.int64))
            with tf.control_dependencies([self._move(leaving, nowhere)]):
                return tf.identity(there)

        return _alone(change)

    def _number_of(self, ids: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(self._numbers.lookup(ids), ids.shape)

    def _move(self, numbers: tf.Tensor, cells: tf.Tensor) -> tf.Tensor:
        """Says in which cells items are from now on."""
        before = self._cells.read_value()
        built = (numbers < self.items) & (tf.gather(before, numbers) == numbers)
        after = tf.tensor_scatter_nd_update(before, numbers[:, tf.newaxis], cells)
        # A whole new value: who has read the old one keeps it, and no reader has to copy.
        with tf.control_dependencies([self._cells.assign(after), built]):
            return self._stale.assign_add(tf.math.count_nonzero(built, dtype=tf.int32))

    def _search_built(
        self, queries: tf.Tensor, k: tf.Tensor, exclude: tf.Tensor, moment: Moment
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Searches the index for items that are still in the cells they were built in."""
        fetch = tf.minimum(k + tf.minimum(moment.stale, k), self.items)
        rows, scores = self._index.search(queries, fetch, exclude)
        there = (rows >= 0) & (tf.gather(moment.cells, tf.maximum(rows, 0)) == rows)
        full = tf.math.count_nonzero(there, 1, dtype=tf.int32) >= k

        def anew() -> tuple[tf.Tensor, tf.Tensor]:
            allowed = self.there(moment) & ~marked(exclude, self.items + self.slots)
            return self._index.search_allowed(queries, k, allowed[:, : self.items])

        return tf.cond(
            (moment.stale == 0) | tf.reduce_all(full),
            lambda: best(rows, tf.where(there, scores, -np.inf), k),
            anew,
        )

    def _among(
        self,
        search: Search,
        queries: tf.Tensor,
        k: tf.Tensor,
        allowed: tf.Tensor,
        moment: Moment,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        allowed &= self.there(moment)
        built = search(queries, k, allowed[:, : self.items])
        in_slots = allowed[:, self.items : self.items + moment.written]
        return self._with_slots(built, queries, k, in_slots, moment)

    def _with_slots(
        self,
        built: tuple[tf.Tensor, tf.Tensor],
        queries: tf.Tensor,
        k: tf.Tensor,
        allowed: tf.Tensor,
        moment: Moment,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Adds the items of slots, of which `[batch, written]` are allowed, to lists found."""
        vectors = self._vectors.first(moment.written)
        scores = tf.matmul(queries, vectors, transpose_b=True)
        scores = tf.where(allowed & self._slots_there(moment), scores, -np.inf)
        cells = tf.broadcast_to(self._slot_cells(moment), tf.shape(scores))
        return best(tf.concat([built[0], cells], 1), tf.concat([built[1], scores], 1), k)

    def _slots_there(self, moment: Moment) -> tf.Tensor:
        """Says which slots hold an item: `[written]` bool."""
        owners = self._owners.first(moment.written)
        return tf.gather(moment.cells, owners) == self._slot_cells(moment)

    def _slot_cells(self, moment: Moment) -> tf.Tensor:
        return tf.cast(self.items + tf.range(moment.written), tf.int64)


def _alone(change: Callable[[], tf.Tensor]) -> tf.Tensor:
    """Makes a change while no other one is made."""
    lock = tf.raw_ops.MutexLock(mutex=tf.raw_ops.MutexV2(container="", shared_name=_LOCK))
    with tf.control_dependencies([lock]):
        result = change()
    with tf.control_dependencies([result]):
        tf.raw_ops.ConsumeMutexLock(mutex_lock=lock)
    return result


def _refusals(ids: tf.Tensor, vectors: tf.Tensor, room: tf.Tensor) -> list[tf.Operation]:
    """Checks what is to be put."""
    finite = tf.reduce_all(tf.math.is_finite(vectors), 1)
    infinite = tf.strings.reduce_join(tf.boolean_mask(ids, ~finite), separator=", ")
    count = tf.size(ids)
    no_room = (
        "ids: {} items do not fit, there is room for {}; export a new version, or one with more "
        "serving.live_items"
    )
    return [
        tf.debugging.Assert(passed, [message])
        for passed, message in (
            (tf.reduce_all(ids != ""), "ids: one is empty; give each item its own"),
            (tf.size(tf.unique(ids).y) == count, "ids: one comes twice; put each item once"),
            (
                tf.reduce_all(finite),
                tf.strings.join(["ids: the vectors are not finite of ", infinite]),
            ),
            (count <= room, tf.strings.format(no_room, (count, room))),
        )
    ]
