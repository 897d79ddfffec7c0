"""Searches of an index in a graph, which looks at many queries much faster, and is made once."""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfrec.retrieval.index import Index

Found = tuple[tf.Tensor, tf.Tensor]


def search(index: Index, queries: np.ndarray, k: int, exclude: np.ndarray | None = None) -> Found:
    """What `Index.search` finds."""
    if exclude is None:
        return _search(index, queries.shape[1])(queries, k)
    return _search_but(index, queries.shape[1])(queries, k, exclude)


def search_allowed(
    index: Index, queries: np.ndarray, k: int, allowed: np.ndarray | tf.Tensor
) -> Found:
    """What `Index.search_allowed` finds."""
    return _search_allowed(index, queries.shape[1])(queries, k, allowed)


@functools.lru_cache(maxsize=8)
def _search(index: Index, dim: int) -> Callable[..., Found]:
    return tf.function(
        lambda queries, k: index.search(queries, k), _signature(dim), autograph=False
    )


@functools.lru_cache(maxsize=8)
def _search_but(index: Index, dim: int) -> Callable[..., Found]:
    excluded = tf.TensorSpec([None, None], tf.int64)
    return tf.function(index.search, [*_signature(dim), excluded], autograph=False)


@functools.lru_cache(maxsize=8)
def _search_allowed(index: Index, dim: int) -> Callable[..., Found]:
    allowed = tf.TensorSpec([None, index.items], tf.bool)
    return tf.function(index.search_allowed, [*_signature(dim), allowed], autograph=False)


def _signature(dim: int) -> list[tf.TensorSpec]:
    return [tf.TensorSpec([None, dim], tf.float32), tf.TensorSpec([], tf.int32)]
