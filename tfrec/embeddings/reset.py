"""Rows of a table that are to stand for something else than they have learned."""

import itertools
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfrec.embeddings.table import LIMIT


def reset_rows(
    shards: Sequence[tf.Variable],
    rows: tf.Tensor,
    seed: tf.Tensor,
    reset_slots: Callable[[tf.Variable, tf.Tensor], None],
) -> None:
    """Gives rows of a table fresh values, uniform around zero, and optimiser state to match.

    Args:
      shards: `[rows, dim]` parts of the table, first rows first.
      rows: `[n]` int64 rows of the table, each once.
      seed: int64 scalar, another one for each call, e.g. a vocabulary's version. The same seed
        gives the same values, so that training that goes on draws what it would have drawn.
      reset_slots: called with each shard and the rows in it, to reset the optimiser's state.
    """
    ends = list(itertools.accumulate(shard.shape[0] for shard in shards))
    for number, (shard, first, end) in enumerate(zip(shards, [0, *ends], ends, strict=False)):
        own = tf.boolean_mask(rows, (rows >= first) & (rows < end)) - first
        fresh = tf.random.stateless_uniform(
            [tf.size(own), shard.shape[1]], tf.stack([seed, number]), -LIMIT, LIMIT
        )
        shard.scatter_update(tf.IndexedSlices(fresh, own))
        reset_slots(shard, own)
