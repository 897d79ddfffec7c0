"""Approximate search with ScaNN."""

import math

import numpy as np
import tensorflow as tf
from scann import scann_ops

from tfrec.retrieval.index import NO_ITEM, filled
from tfrec.retrieval.probing import ProbingIndex
from tfrec.retrieval.vector_index import check_vectors

SMALLEST_PARTITIONED = 16_384
"""Catalogues below this many items are scored whole: partitions would save no time."""

_TRAINING_SAMPLE = 250_000
_IN_PARALLEL = 16


class Scann(ProbingIndex):
    """ScaNN: partitions, quantised scores within the nearest ones, exact scores for the best.

    Needs ScaNN's ops wherever it is loaded.

    Attributes:
      partitions: how many there are; 1 where the catalogue is so small that it is scored whole.

    Source: Guo et al., Accelerating Large-Scale Inference with Anisotropic Vector Quantization,
    ICML 2020.
    """

    def __init__(
        self, embeddings: np.ndarray, partitions: int | None = None, threshold: float = 0.2
    ) -> None:
        """Builds the index.

        Args:
          embeddings: `[items, dim]` float32 by row of the catalogue.
          partitions: how many; by default about twice the root of the number of items.
          threshold: the cosine above which errors along a vector weigh more than those across, in
            choosing its quantised form.

        Raises:
          UserError: if there is no item, or a vector is not finite.
        """
        check_vectors(embeddings)
        items = len(embeddings)
        self._dim = embeddings.shape[1]
        partitions = partitions or round(2 * math.sqrt(items))
        super().__init__(items, partitions if items >= SMALLEST_PARTITIONED else 1)
        builder = scann_ops.builder(embeddings, 1, "dot_product")
        if self.partitions > 1:
            builder = builder.tree(
                self.partitions, self.partitions, min(self.items, _TRAINING_SAMPLE)
            )
            builder = builder.score_ah(2, anisotropic_quantization_threshold=threshold).reorder(1)
        else:
            builder = builder.score_brute_force()
        self._searcher = builder.build().serialize_to_module()

    def _nearest(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        partitions, scored = self._effort_for(k)

        def searched(part: tf.Tensor, in_parallel: bool) -> tuple[tf.Tensor, tf.Tensor]:
            # In parallel ScaNN does not look whether queries have as many floats as items.
            part = tf.ensure_shape(part, [None, self._dim])
            # TensorFlow lets searches by one handle wait for each other, so each gets its own.
            handle = scann_ops.searcher_from_module(self._searcher).searcher_handle
            ids, scores = scann_ops.scann_search_batched(
                handle, part, k, scored, partitions, in_parallel
            )
            return _as_rows(ids, scores, k)

        def halves() -> tuple[tf.Tensor, ...]:
            # ScaNN shares a batch among its own threads, one fewer than there are CPUs: of two CPUs
            # it would use one.
            middle = tf.shape(queries)[0] // 2
            both = zip(
                searched(queries[:middle], True), searched(queries[middle:], True), strict=True
            )
            return tuple(tf.concat(parts, 0) for parts in both)

        many = tf.shape(queries)[0] >= _IN_PARALLEL
        return tf.cond(many, halves, lambda: searched(queries, False))

    def _scores(self, queries: tf.Tensor) -> tf.Tensor:
        return tf.matmul(queries, self._searcher.dataset, transpose_b=True)

    def vectors_of(self, rows: tf.Tensor) -> tf.Tensor:
        """See `VectorIndex.vectors_of`."""
        return tf.gather(self._searcher.dataset, rows)


def _as_rows(ids: tf.Tensor, scores: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What ScaNN finds, as an index answers.

    Where the probed partitions hold fewer than `k` items, ScaNN leaves the last places out, or
    gives them NaN for a score.
    """
    shape = [None, None]
    ids = tf.ensure_shape(tf.cast(ids, tf.int64), shape)
    rows, scores = filled(ids, tf.ensure_shape(scores, shape), k)
    return rows, tf.where(rows == NO_ITEM, -float("inf"), scores)
