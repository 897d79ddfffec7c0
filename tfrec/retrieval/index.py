"""What every index answers."""

import abc

import tensorflow as tf

NO_ITEM = -1
"""Stands where a list has no more items, and fills up lists of excluded items."""


class Index(tf.Module, abc.ABC):
    """The catalogue, searched for those with the largest dot product.

    An index is a `tf.Module`, so it can be part of a SavedModel.
    """

    def __init__(self, items: int) -> None:
        """Holds `items` items, known by their rows `0 ... items - 1`."""
        super().__init__()
        self.items = items

    def search(
        self, queries: tf.Tensor, k: tf.Tensor | int, exclude: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Finds the best items that are not excluded.

        Args:
          queries: `[batch, dim]` float32.
          k: how many items, at most as many as there are.
          exclude: `[batch, n]` int64 rows never to return; `NO_ITEM` fills shorter lists up.

        Returns:
          ids: `[batch, k]` int64 rows, best first; `NO_ITEM` behind the last item that is left.
          scores: `[batch, k]` float32; -inf there.
        """
        if exclude is None:
            return self._nearest(queries, tf.convert_to_tensor(k))
        # Every excluded item may take a place, so that many more are fetched.
        fetch = tf.minimum(k + tf.shape(exclude)[1], self.items)
        ids, scores = self._nearest(queries, fetch)
        banned = tf.reduce_any(ids[:, :, tf.newaxis] == exclude[:, tf.newaxis, :], axis=-1)
        return best(ids, tf.where(banned, -float("inf"), scores), tf.minimum(k, fetch))

    def search_allowed(
        self, queries: tf.Tensor, k: tf.Tensor | int, allowed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Finds the best items of those that each query allows.

        A list is never short while an allowed item is left, however few there are.

        Args:
          queries: `[batch, dim]` float32.
          k: how many items, at most as many as there are.
          allowed: `[batch, items]` bool.

        Returns:
          As `search`.
        """
        k = tf.convert_to_tensor(k)
        return tf.map_fn(
            lambda one: self._nearest_allowed(one[0], one[1], k),
            (queries, allowed),
            fn_output_signature=(tf.int64, tf.float32),
        )

    @abc.abstractmethod
    def search_exact(
        self, queries: tf.Tensor, k: tf.Tensor | int, allowed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The same as `search_allowed`, by scoring every item."""

    @abc.abstractmethod
    def _nearest(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Finds the best `k` items: rows int64 `[batch, k]` and scores `[batch, k]`."""

    @abc.abstractmethod
    def _nearest_allowed(
        self, query: tf.Tensor, allowed: tf.Tensor, k: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The same for one query, `[dim]`, among the items of a mask, `[items]`: `[k]` each."""


def best(ids: tf.Tensor, scores: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The `k` best of candidates that have a finite score, filled up with `NO_ITEM`.

    Args:
      ids: `[..., n]` int64 rows.
      scores: `[..., n]` float32; -inf for those never to return.
      k: how many.

    Returns:
      `[..., k]` int64 and `[..., k]` float32, best first.
    """
    found, places = tf.math.top_k(scores, tf.minimum(k, tf.shape(scores)[-1]))
    rows = tf.gather(ids, places, batch_dims=ids.shape.rank - 1)
    return filled(tf.ensure_shape(rows, [None] * ids.shape.rank), found, k)


def filled(ids: tf.Tensor, scores: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Fills lists up, best first as they are, to `k` places.

    Args:
      ids: `[..., n]` int64 rows, `n` at most `k`.
      scores: `[..., n]` float32; -inf or NaN at the end, where there is no item, and left so.
      k: how many.

    Returns:
      `[..., k]` int64, `NO_ITEM` behind the last item, and `[..., k]` float32, -inf in new places.
    """
    no_item = tf.constant(NO_ITEM, tf.int64)
    rows = tf.where(scores > -float("inf"), ids, no_item)
    ends = [[0, 0]] * (ids.shape.rank - 1) + [[0, k - tf.shape(scores)[-1]]]
    return (
        tf.pad(rows, ends, constant_values=no_item),
        tf.pad(scores, ends, constant_values=-float("inf")),
    )


def marked(rows: tf.Tensor, items: int) -> tf.Tensor:
    """Marks rows of the catalogue.

    Args:
      rows: `[batch, n]` int64, `NO_ITEM` for none.
      items: number of items.

    Returns:
      `[batch, items]` bool.
    """
    batch = tf.shape(rows, out_type=tf.int64)[0]
    places = tf.stack([tf.broadcast_to(tf.range(batch)[:, tf.newaxis], tf.shape(rows)), rows], -1)
    real = tf.boolean_mask(places, rows >= 0)
    ones = tf.ones(tf.shape(real)[:1], tf.int32)
    return tf.scatter_nd(real, ones, [batch, items]) > 0
