"""Softmax over the whole catalogue."""

from collections.abc import Callable

import tensorflow as tf

from tfrec.losses.dot_softmax import dot_softmax


def full_softmax(
    queries: tf.Tensor,
    items: tf.Tensor,
    positives: tf.Tensor,
    temperature: float = 1.0,
    chunk: int | None = None,
) -> tf.Tensor:
    """Cross-entropy of each query's own item among all items.

        loss(q, i) = log sum_j exp(q . j / temperature) - q . i / temperature

    Nothing is sampled, so there is nothing to correct. A bias of the items is one more column of
    `items` beside a column of ones of `queries`.

    Args:
      queries: `[batch, dim]`.
      items: `[items, dim]`, the catalogue.
      positives: `[batch]` int, each query's row of `items`.
      temperature: divides the scores; above 0.
      chunk: items to score at a time, at least 1: memory of batch x chunk instead of batch x items,
        for one more scoring of each on the way back.

    Returns:
      `[batch]` float32 losses.
    """
    queries, items = tf.cast(queries, tf.float32) / temperature, tf.cast(items, tf.float32)
    if chunk is None:
        return dot_softmax(queries, items, tf.zeros_like(items[:, 0]), positives)
    own = tf.reduce_sum(queries * tf.gather(items, positives), 1)
    return _log_sum_exp(queries, items, tf.constant(chunk)) - own


@tf.custom_gradient
def _log_sum_exp(
    queries: tf.Tensor, items: tf.Tensor, chunk: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor | None, ...]]]:
    """`log sum_j exp(q . j)` of each query, without ever holding all logits."""
    count = tf.shape(items)[0]

    def add(
        start: tf.Tensor, largest: tf.Tensor, total: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        logits = tf.matmul(queries, items[start : start + chunk], transpose_b=True)
        larger = tf.maximum(largest, tf.reduce_max(logits, 1))
        added = tf.reduce_sum(tf.exp(logits - larger[:, tf.newaxis]), 1)
        return start + chunk, larger, total * tf.exp(largest - larger) + added

    nothing = tf.zeros_like(queries[:, 0])
    _, largest, total = tf.while_loop(
        lambda start, *_: start < count, add, (0, nothing + queries.dtype.min, nothing)
    )
    log_sum = largest + tf.math.log(total)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
        def add_slopes(
            start: tf.Tensor, number: tf.Tensor, to_queries: tf.Tensor, to_items: tf.TensorArray
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.TensorArray]:
            part = items[start : start + chunk]
            logits = tf.matmul(queries, part, transpose_b=True)
            slopes = tf.exp(logits - log_sum[:, tf.newaxis]) * upstream[:, tf.newaxis]
            to_part = tf.matmul(slopes, queries, transpose_a=True)
            to_queries += tf.matmul(slopes, part)
            return start + chunk, number + 1, to_queries, to_items.write(number, to_part)

        parts = tf.TensorArray(tf.float32, -(-count // chunk), infer_shape=False)
        _, _, to_queries, to_items = tf.while_loop(
            lambda start, *_: start < count, add_slopes, (0, 0, tf.zeros_like(queries), parts)
        )
        return to_queries, tf.ensure_shape(to_items.concat(), items.shape), None

    return log_sum, gradient
