"""Partitions of a catalogue: where their centres are, and which items belong to them."""

import numpy as np
import tensorflow as tf

_ROUNDS = 10
_SAMPLE_PER_CENTROID = 64
_BATCH = 8192


def train_centroids(vectors: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Finds centres by k-means (Lloyd's algorithm) on a sample of the vectors.

    A centre that no vector is nearest to starts anew at a drawn one.

    Args:
      vectors: `[items, dim]` float32.
      count: number of centres, at most the number of items.
      seed: of the sample and of the first centres.

    Returns:
      `[count, dim]` float32.

    Source: Lloyd, Least Squares Quantization in PCM, IEEE Transactions on Information Theory, 1982.
    """
    random = np.random.default_rng(seed)
    size = min(len(vectors), count * _SAMPLE_PER_CENTROID)
    sample = vectors[random.choice(len(vectors), size, replace=False)]
    centroids = sample[:count].copy()
    for _ in range(_ROUNDS):
        sums, members = np.zeros_like(centroids), np.zeros(count, np.float32)
        for start in range(0, size, _BATCH):
            part_sums, part_members = _gathered(sample[start : start + _BATCH], centroids)
            sums += part_sums.numpy()
            members += part_members.numpy()
        centroids = sums / np.maximum(members, 1)[:, np.newaxis]
        lonely = np.flatnonzero(members == 0)
        centroids[lonely] = sample[random.choice(size, len(lonely))]
    return centroids


def nearest(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Finds each vector's nearest centre, by Euclidean distance: `[items]` int64."""
    starts = range(0, len(vectors), _BATCH)
    found = [_nearest(vectors[start : start + _BATCH], centroids) for start in starts]
    return np.concatenate([part.numpy() for part in found])


def second_nearest(
    vectors: np.ndarray, centroids: np.ndarray, first: np.ndarray, orthogonality: float = 1.0
) -> np.ndarray:
    """Finds each vector a second partition that is of use where its first one is missed.

    That happens to queries for which the vector's way from its first centre, `r`, is a large part
    of the score, so a second way `s` along it would be missed by the same queries:

        loss = |s|^2 + orthogonality * (s . r / |r|)^2

    Args:
      vectors: `[items, dim]` float32.
      centroids: `[centres, dim]`, two at least.
      first: `[items]`, each vector's first centre.
      orthogonality: weight of the second part.

    Returns:
      `[items]` int64, never the first centre.

    Source: Sun et al., SOAR: Improved Indexing for Approximate Nearest Neighbor Search,
    NeurIPS 2023.
    """
    found = []
    for start in range(0, len(vectors), _BATCH):
        part = slice(start, start + _BATCH)
        found.append(_second(vectors[part], centroids, first[part], orthogonality).numpy())
    return np.concatenate(found)


@tf.function(autograph=False, reduce_retracing=True)
def _nearest(vectors: tf.Tensor, centroids: tf.Tensor) -> tf.Tensor:
    return tf.argmin(_distances(vectors, centroids), 1)


@tf.function(autograph=False, reduce_retracing=True)
def _gathered(vectors: tf.Tensor, centroids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Sums and numbers of the vectors that are nearest to each centre."""
    own, count = tf.argmin(_distances(vectors, centroids), 1), tf.shape(centroids)[0]
    ones = tf.ones_like(vectors[:, 0])
    return (
        tf.math.unsorted_segment_sum(vectors, own, count),
        tf.math.unsorted_segment_sum(ones, own, count),
    )


@tf.function(autograph=False, reduce_retracing=True)
def _second(
    vectors: tf.Tensor, centroids: tf.Tensor, first: tf.Tensor, orthogonality: tf.Tensor
) -> tf.Tensor:
    ways = tf.math.l2_normalize(vectors - tf.gather(centroids, first), -1)
    along = tf.reduce_sum(vectors * ways, -1, keepdims=True)
    along -= tf.matmul(ways, centroids, transpose_b=True)
    losses = _distances(vectors, centroids) + orthogonality * tf.square(along)
    return tf.argmin(tf.where(tf.one_hot(first, tf.shape(centroids)[0]) > 0, np.inf, losses), 1)


def _distances(vectors: tf.Tensor, centroids: tf.Tensor) -> tf.Tensor:
    """Squared distances, `[vectors, centres]`, each less the square of the vector's length."""
    products = tf.matmul(vectors, centroids, transpose_b=True)
    return tf.reduce_sum(tf.square(centroids), -1) - 2 * products
