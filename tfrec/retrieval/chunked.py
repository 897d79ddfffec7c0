"""Approximate search in stock TensorFlow ops, for catalogues whose partitions are long."""

import abc
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfrec.retrieval.clustering import second_nearest
from tfrec.retrieval.index import NO_ITEM, best
from tfrec.retrieval.inverted_file import InvertedFile, held
from tfrec.retrieval.probing import entry

CHUNK = 16
"""Items of a chunk."""

_ANY = float(np.finfo(np.float32).max)


class Chunked(InvertedFile, abc.ABC):
    """An inverted file that searches for each query by itself, in the partitions near to it.

    Items of a partition lie side by side in chunks, so that a search copies long stretches of
    memory. Partitions far behind a query's nearest one can be left out: many queries have few near
    ones.

    Attributes:
      copies: how many partitions hold an item.

    Source: `second_nearest` for the second partition; Chen et al., SPANN: Highly-efficient
    Billion-scale Approximate Nearest Neighbor Search, NeurIPS 2021, for leaving partitions out by
    query.
    """

    def __init__(
        self, embeddings: np.ndarray, partitions: int | None, copies: int, seed: int
    ) -> None:
        """Finds the partitions, and the chunks of their items."""
        super().__init__(embeddings, partitions, seed)
        self.copies = copies if self.partitions > 1 else 1
        self._reaches = held(self._by_length([1], [_ANY]).astype(np.float32))
        owners = [self._owners.numpy()]
        if self.copies == 2:
            owners.append(second_nearest(embeddings, self._centroids.numpy(), owners[0]))
        self._lay_out(np.stack(owners))

    def probe(self, numbers: Sequence[tuple[int, int]], rescored: float) -> None:
        """See `ProbingIndex.probe`; nothing is left out until `prune`."""
        super().probe(numbers, rescored)
        self.prune([(1, _ANY)])

    def prune(self, reaches: Sequence[tuple[int, float]]) -> None:
        """Says how far behind the nearest partition others are searched at all.

        Args:
          reaches: pairs of a length of list and by how much the score of a partition's centre may
            be below the best one's, in standard deviations of all centres' scores; other lengths as
            in `probe`. Partitions that a list needs to be full are searched all the same.
        """
        self._reaches.assign(self._by_length(*zip(*reaches, strict=True)))

    def _lay_out(self, owners: np.ndarray) -> None:
        """Puts the rows of each partition, `[copies, items]`, side by side in whole chunks."""
        order = np.argsort(owners, axis=None, kind="stable")
        sorted_owners = owners.ravel()[order]
        sizes = np.bincount(sorted_owners, minlength=self.partitions)
        chunks = -(-sizes // CHUNK)
        first = np.cumsum(chunks) - chunks
        within = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        rows = np.full(chunks.sum() * CHUNK, NO_ITEM)
        rows[first[sorted_owners] * CHUNK + within] = order % self.items
        self._rows = held(rows.reshape(-1, CHUNK))
        self._first, self._chunks = held(first.astype(np.int32)), held(chunks.astype(np.int32))
        self._sizes = held(sizes.astype(np.int32))

    def _nearest(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        bases, partitions, numbers = self._near(queries, k)
        return _each(
            lambda one: self._search(one[0], one[1], one[2][: one[3]], k),
            (queries, bases, partitions, numbers),
            k,
        )

    def _near(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Finds the partitions to search.

        Returns:
          bases: `[batch, partitions]`, the scores of all centres.
          partitions: `[batch, n]`, the nearest ones, best first.
          numbers: `[batch]`, how many of them to search.
        """
        bases = tf.matmul(queries, self._centroids, transpose_b=True)
        number, scored = self._effort_for(k)
        scores, partitions = tf.math.top_k(bases, number)
        reach = entry(self._reaches, k) * tf.math.reduce_std(bases, 1, keepdims=True)
        before = tf.cumsum(tf.gather(self._sizes, partitions), 1, exclusive=True)
        filling = before < scored * self.copies
        near = filling | (scores >= scores[:, :1] - reach)
        return bases, partitions, tf.math.count_nonzero(near, 1, dtype=tf.int32)

    def _search(
        self,
        query: tf.Tensor,
        bases: tf.Tensor,
        partitions: tf.Tensor,
        k: tf.Tensor,
        allowed: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        first, count = tf.gather(self._first, partitions), tf.gather(self._chunks, partitions)
        chunks = tf.ragged.range(first, first + count).values
        scores, rows = self._scored(query, bases, chunks), tf.gather(self._rows, chunks)
        fits = rows >= 0
        if allowed is not None:
            fits &= tf.gather(allowed, tf.maximum(rows, 0))
        scores = tf.where(fits, scores, -np.inf)
        return self._best_of(query, tf.reshape(rows, [-1]), tf.reshape(scores, [-1]), k)

    @abc.abstractmethod
    def _scored(self, query: tf.Tensor, bases: tf.Tensor, chunks: tf.Tensor) -> tf.Tensor:
        """The scores of what some chunks hold: `[dim]`, `[partitions]`, `[n]` -> `[n, CHUNK]`.

        TensorFlow shares one large product among its threads, and the loops of a batch would wait
        for each other there: products by chunk it works out where they are.
        """

    def _best_of(
        self, query: tf.Tensor, rows: tf.Tensor, scores: tf.Tensor, k: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The best of some rows, `[n]` int64 by scores `[n]`, -inf for none: `[k]` and `[k]`."""
        return best(rows, scores, k)


def _each(
    search: Callable[[tuple[tf.Tensor, ...]], tuple[tf.Tensor, tf.Tensor]],
    batch: tuple[tf.Tensor, ...],
    k: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Searches for each query of a batch: a single one without a loop, more in two loops at once.

    One loop alone keeps one core busy, and cannot be one of no rounds.
    """

    def none() -> tuple[tf.Tensor, ...]:
        return tf.zeros([0, k], tf.int64), tf.zeros([0, k])

    def alone() -> tuple[tf.Tensor, ...]:
        found = search(tuple(values[0] for values in batch))
        return tuple(part[tf.newaxis] for part in found)

    def loop(start: tf.Tensor | int, end: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        some = tuple(values[start:end] for values in batch)
        return tf.map_fn(search, some, fn_output_signature=(tf.int64, tf.float32))

    def loops() -> tuple[tf.Tensor, ...]:
        both = zip(loop(0, count // 2), loop(count // 2, count), strict=True)
        return tuple(tf.concat(parts, 0) for parts in both)

    count = tf.shape(batch[0])[0]
    return tf.switch_case(tf.minimum(count, 2), [none, alone, loops])
