"""Approximate search with ScaNN."""

import math

import numpy as np
import tensorflow as tf
from scann import scann_ops

from tfrec.errors import UserError
from tfrec.retrieval.brute_force import BruteForce
from tfrec.retrieval.config import Promise
from tfrec.retrieval.index import NO_ITEM, Index
from tfrec.retrieval.measure import measure_recall

SMALLEST_TREE = 16_384
"""Catalogues below this many items are scored whole: partitions would save no time."""

_TRAINING_SAMPLE = 250_000
_PROBED_SHARES = (0.02, 0.05, 0.1, 0.2, 0.4, 1.0)
_RESCORED_PER_RESULT = 4
_ROOM_PER_RESULT = 4


class Scann(Index):
    """ScaNN: partitions, quantised scores within the nearest ones, exact scores for the best.

    Needs ScaNN's ops wherever it is loaded.

    Source: Guo et al., Accelerating Large-Scale Inference with Anisotropic Vector Quantization,
    ICML 2020.
    """

    def __init__(self, embeddings: np.ndarray) -> None:
        """Builds the index of `embeddings`, `[items, dim]` float32 by row of the catalogue.

        Raises:
          UserError: if there is no item, or a vector is not finite.
        """
        super().__init__(len(embeddings))
        if not len(embeddings):
            raise UserError("data.items: the catalogue is empty; there is nothing to index")
        bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
        if len(bad):
            raise UserError(
                f"index: {len(bad)} item vectors are not finite, the first in row {bad[0]}; "
                "train again with a lower learning_rate in training.optimizers"
            )
        self.partitions = round(2 * math.sqrt(self.items)) if self.items >= SMALLEST_TREE else 1
        self.probed = self.partitions
        builder = scann_ops.builder(embeddings, 1, "dot_product")
        if self.partitions > 1:
            builder = builder.tree(
                self.partitions, self.partitions, min(self.items, _TRAINING_SAMPLE)
            )
            builder = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(1)
        else:
            builder = builder.score_brute_force()
        self._searcher = builder.build().serialize_to_module()

    def _nearest(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        searcher = scann_ops.searcher_from_module(self._searcher)
        ids, scores = searcher.search_batched(
            queries,
            final_num_neighbors=k,
            pre_reorder_num_neighbors=tf.minimum(_RESCORED_PER_RESULT * k, self.items),
            leaves_to_search=self._partitions_for(k),
        )
        # Where the probed partitions hold fewer than `k` items, ScaNN leaves places empty or out.
        empty = tf.math.is_nan(scores)
        ids = tf.where(empty, tf.constant(NO_ITEM, tf.int64), tf.cast(ids, tf.int64))
        scores = tf.where(empty, -float("inf"), scores)
        rest = [[0, 0], [0, k - tf.shape(ids)[1]]]
        return (
            tf.pad(ids, rest, constant_values=tf.constant(NO_ITEM, tf.int64)),
            tf.pad(scores, rest, constant_values=-float("inf")),
        )

    def _partitions_for(self, k: tf.Tensor) -> tf.Tensor:
        """Probes more than the promise took when so many items are wanted; all for all."""
        wanted = tf.cast(k, tf.float32) * (_ROOM_PER_RESULT * self.partitions / self.items)
        needed = tf.cast(tf.math.ceil(wanted), tf.int32)
        return tf.clip_by_value(needed, self.probed, self.partitions)


def keep_promise(index: Scann, exact: BruteForce, queries: np.ndarray, promise: Promise) -> float:
    """Lets an index probe as few partitions as its promise allows.

    Args:
      index: is changed to probe that many.
      exact: the same vectors, searched exactly.
      queries: `[n, dim]` vectors of real queries.
      promise: the least recall.

    Returns:
      The recall measured.

    Raises:
      UserError: if even a search of all partitions does not reach it.
    """
    k = min(promise.k, index.items)
    recall = 0.0
    for share in _PROBED_SHARES:
        index.probed = max(1, round(share * index.partitions))
        recall = measure_recall(index, exact, queries, k)
        if recall >= promise.recall:
            return recall
    raise UserError(
        f"index.promise.recall: {promise.recall} at {k} cannot be kept; the best is {recall:.4f}; "
        "lower the promise"
    )
