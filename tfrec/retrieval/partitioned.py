"""Approximate search in stock TensorFlow ops."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfrec.retrieval.clustering import second_nearest
from tfrec.retrieval.index import NO_ITEM, best
from tfrec.retrieval.inverted_file import InvertedFile, held
from tfrec.retrieval.probing import entry

_ANY = float(np.finfo(np.float32).max)
_CHUNK = 16
_LEVELS = 127


class Partitioned(InvertedFile):
    """An inverted file: partitions, int8 scores within the nearest ones, exact scores for the best.

        score(query, item) ~ query . centre + query . (step * code)

    where `code` is the way from the centre of the item's partition to the item, in int8 steps of a
    length for each dimension. Items of a partition lie side by side in chunks, so that a search
    copies long stretches of memory. It runs wherever TensorFlow does.

    Partitions far behind a query's nearest one can be left out: many queries have few near ones.

    Attributes:
      copies: how many partitions hold an item.

    Source: Jegou, Douze and Schmid, Product Quantization for Nearest Neighbor Search, IEEE TPAMI
    2011, for the inverted file of residuals; `second_nearest` for the second partition; Chen et
    al., SPANN: Highly-efficient Billion-scale Approximate Nearest Neighbor Search, NeurIPS 2021,
    for leaving partitions out by query.
    """

    def __init__(
        self, embeddings: np.ndarray, partitions: int | None = None, copies: int = 1, seed: int = 0
    ) -> None:
        """Builds the index.

        Args:
          embeddings: `[items, dim]` float32 by row of the catalogue.
          partitions: how many; by default about twice the root of the number of items.
          copies: 1, or 2 to keep each item in a second partition too.
          seed: of the partitions.

        Raises:
          UserError: if there is no item, or a vector is not finite.
        """
        super().__init__(embeddings, partitions, seed)
        self.copies = copies if self.partitions > 1 else 1
        self._reaches = held(self._by_length([1], [_ANY]).astype(np.float32))
        centroids, owners = self._centroids.numpy(), [self._owners.numpy()]
        if self.copies == 2:
            owners.append(second_nearest(embeddings, centroids, owners[0]))
        self._embeddings = held(embeddings)
        self._lay_out(embeddings, centroids, np.stack(owners))

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

    def _lay_out(self, embeddings: np.ndarray, centroids: np.ndarray, owners: np.ndarray) -> None:
        """Puts the items of each partition side by side, in whole chunks."""
        order = np.argsort(owners, axis=None, kind="stable")
        rows, sorted_owners = order % self.items, owners.ravel()[order]
        sizes = np.bincount(sorted_owners, minlength=self.partitions)
        chunks = -(-sizes // _CHUNK)
        first = np.cumsum(chunks) - chunks
        within = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        places = first[sorted_owners] * _CHUNK + within
        steps, codes = _quantised(embeddings, centroids, rows, sorted_owners)
        laid_out = np.zeros((chunks.sum() * _CHUNK, embeddings.shape[1]), np.int8)
        laid_out[places] = codes
        item_rows = np.full(len(laid_out), NO_ITEM, np.int32)
        item_rows[places] = rows
        self._steps = held(steps)
        self._codes = held(laid_out.reshape(len(laid_out) // _CHUNK, -1))
        self._rows = held(item_rows.reshape(-1, _CHUNK))
        self._first, self._chunks = held(first.astype(np.int32)), held(chunks.astype(np.int32))
        self._sizes = held(sizes.astype(np.int32))
        self._chunk_owners = held(np.repeat(np.arange(self.partitions, dtype=np.int32), chunks))

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

    def _scores(self, queries: tf.Tensor) -> tf.Tensor:
        return tf.matmul(queries, self._embeddings, transpose_b=True)

    def vectors_of(self, rows: tf.Tensor) -> tf.Tensor:
        """See `VectorIndex.vectors_of`."""
        return tf.gather(self._embeddings, rows)

    def _search(
        self,
        query: tf.Tensor,
        bases: tf.Tensor,
        partitions: tf.Tensor,
        k: tf.Tensor,
        allowed: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `InvertedFile`; scores in int8 first, and the best of them exactly."""
        first, count = tf.gather(self._first, partitions), tf.gather(self._chunks, partitions)
        chunks = tf.ragged.range(first, first + count).values
        codes = tf.cast(tf.gather(self._codes, chunks), tf.float32)
        # By chunks, and below by a sum: TensorFlow shares one large product among its threads, and
        # the loops of a batch would wait for each other there.
        codes = tf.reshape(codes, [-1, _CHUNK, query.shape[-1]])
        own_bases = tf.gather(bases, tf.gather(self._chunk_owners, chunks))
        scores = tf.linalg.matvec(codes, query * self._steps) + own_bases[:, tf.newaxis]
        rows = tf.gather(self._rows, chunks)
        fits = rows >= 0
        if allowed is not None:
            fits &= tf.gather(allowed, tf.maximum(rows, 0))
        scores = tf.reshape(tf.where(fits, scores, -np.inf), [-1])
        wanted = tf.minimum(self._effort_for(k)[1] * self.copies, tf.size(scores))
        found, places = tf.math.top_k(scores, wanted, sorted=False)
        rows = tf.where(found > -np.inf, tf.gather(tf.reshape(rows, [-1]), places), NO_ITEM)
        if self.copies > 1:
            rows = tf.unique(rows).y
        exact = tf.reduce_sum(self.vectors_of(tf.maximum(rows, 0)) * query, -1)
        return best(tf.cast(rows, tf.int64), tf.where(rows >= 0, exact, -np.inf), k)


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


def _quantised(
    embeddings: np.ndarray, centroids: np.ndarray, rows: np.ndarray, owners: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The ways from centres to items: the length of a step, `[dim]`, and int8 `[rows, dim]`."""
    ways = embeddings[rows] - centroids[owners]
    steps = np.maximum(np.abs(ways).max(0), np.finfo(np.float32).tiny) / _LEVELS
    return steps.astype(np.float32), np.rint(ways / steps).astype(np.int8)
