"""Items that the same shoppers chose."""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import tensorflow as tf
from pydantic import Field
from scipy import sparse

from tfrec.data.interactions import Interactions
from tfrec.models.closed_form.fitted import EXACT, ClosedForm, Scorer, presence
from tfrec.models.closed_form.histories import add_up, distinct, share_of
from tfrec.models.closed_form.padding import blocks, padded

_CELLS = 1 << 23  # of co-occurrences in memory at once


class ItemKNN(ClosedForm):
    """Adds up how similar to an item those of the shopper's history are that are its neighbours.

        score(u, j) = sum of s_ij over the items i of u's history among j's neighbours

        cosine       s_ij = c_ij / (sqrt(n_i n_j) + shrinkage)
        jaccard      s_ij = c_ij / (n_i + n_j - c_ij + shrinkage)
        conditional  s_ij = c_ij / (n_i + shrinkage), the chance of j given i
        lift         s_ij = c_ij / (n_i n_j + shrinkage), but for a factor that all scores share

    `n_i` shoppers chose i, and `c_ij` both i and j. The neighbours of j are the items i of largest
    s_ij, never j itself. Shrinkage mistrusts similarities that few shoppers speak for; `lift`,
    which favours rare items, needs it.

    Source: Sarwar, Karypis, Konstan and Riedl, Item-Based Collaborative Filtering Recommendation
    Algorithms, WWW 2001; `conditional` is of Deshpande and Karypis, Item-Based Top-N Recommendation
    Algorithms, TOIS 2004.
    """

    class Settings(ClosedForm.Settings):
        """The model's own keys.

        Attributes:
          similarity: how co-occurrences become similarities.
          shrinkage: added to the denominator.
          neighbours: the most that an item has.
        """

        similarity: Literal["cosine", "jaccard", "conditional", "lift"] = "cosine"
        shrinkage: Annotated[float, Field(ge=0)] = 0.0
        neighbours: Annotated[int, Field(gt=0)] = 200

    settings: Settings
    state = ("similarities", "items", "starts")
    similarities: np.ndarray
    items: np.ndarray
    starts: np.ndarray

    def fit(self, interactions: Interactions) -> None:
        """Finds each item's neighbours, some items at a time.

        Item `i` is a neighbour of `items[starts[i]:starts[i + 1]]`, and `similarities` beside them
        say how similar it is.
        """
        chosen = interactions.matrix()
        choosers = chosen.T.tocsr()
        counts = np.diff(choosers.indptr).astype(np.float32)
        # At most this many items come together with each: all that its choosers chose.
        widths = np.minimum(choosers @ np.diff(chosen.indptr), interactions.n_items)
        targets, pieces = [], []
        for block in blocks(widths.astype(np.int64), _CELLS):
            together = choosers[block] @ chosen
            self._to_similarity(together, counts[block], counts)
            together.data[together.indices == _row_of(together, block)] = 0
            pieces.append(_largest(together, self.settings.neighbours))
            targets.append(block)
        similar = _joined(pieces, targets, interactions.n_items)
        self.similarities, self.items, self.starts = similar.data, similar.indices, similar.indptr

    def scores(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Scores all items for some shoppers: `[users, items]` float32, 0 without a neighbour."""
        n_items = len(self.starts) - 1
        state = self.similarities, self.items, self.starts
        return (presence(histories) @ sparse.csr_matrix(state, (n_items, n_items))).toarray()

    def in_graph(self) -> Scorer:
        """See the base class."""
        return _Neighbours(self.similarities, self.items, self.starts)

    def _to_similarity(
        self, together: sparse.csr_matrix, of_targets: np.ndarray, of_items: np.ndarray
    ) -> None:
        """Replaces the co-occurrences of some targets with all items by similarities."""
        both = together.data
        n_i, n_j = of_items[together.indices], _row_of(together, of_targets)
        denominator = {
            "cosine": lambda: np.sqrt(n_i * n_j),
            "jaccard": lambda: n_i + n_j - both,
            "conditional": lambda: n_i,
            "lift": lambda: n_i * n_j,
        }[self.settings.similarity]()
        together.data = both / (denominator + np.float32(self.settings.shrinkage))


class _Neighbours(Scorer):
    explains = EXACT

    def __init__(self, similarities: np.ndarray, items: np.ndarray, starts: np.ndarray) -> None:
        super().__init__()
        self._similarities = tf.Variable(similarities, trainable=False)
        self._items = tf.Variable(items.astype(np.int64), trainable=False)
        self._starts = tf.Variable(starts.astype(np.int64), trainable=False)

    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        known = distinct(rows)
        cells = tf.where(known >= 0)  # [n, 2]
        own = tf.gather_nd(known, cells)
        first, behind = tf.gather(self._starts, own), tf.gather(self._starts, own + 1)
        places = tf.ragged.range(first, behind)  # [n, neighbours]
        owners = tf.gather(cells[:, 0], places.value_rowids())
        shape = tf.stack([tf.shape(rows, tf.int64)[0], tf.size(self._starts, tf.int64) - 1])
        similarities = tf.gather(self._similarities, places.values)
        return add_up(similarities, owners, tf.gather(self._items, places.values), shape)

    def contributions(self, rows: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        own = tf.reshape(rows, [-1])
        there = tf.maximum(own, 0)
        first, behind = tf.gather(self._starts, there), tf.gather(self._starts, there + 1)
        places = tf.ragged.range(first, tf.where(own < 0, first, behind))  # [places, neighbours]
        owners = places.value_rowids()
        wanted = tf.gather(items, owners // tf.shape(rows, tf.int64)[1])  # [neighbours, n]
        found = tf.gather(self._items, places.values)[:, tf.newaxis] == wanted
        similarities = tf.gather(self._similarities, places.values)[:, tf.newaxis]
        each = tf.math.unsorted_segment_sum(
            tf.where(found, similarities, 0.0), owners, tf.size(own, tf.int64)
        )
        batch, width = tf.unstack(tf.shape(rows))
        each = tf.reshape(each, [batch, width, tf.shape(items)[1]])
        return tf.transpose(each, [0, 2, 1]) * share_of(rows)[:, tf.newaxis]


def _row_of(matrix: sparse.csr_matrix, values: np.ndarray) -> np.ndarray:
    """For each entry of a matrix, the value of its row."""
    return np.repeat(values, np.diff(matrix.indptr))


def _largest(matrix: sparse.csr_matrix, most: int) -> sparse.csr_matrix:
    """Each row's largest entries above 0; of equal ones those of the first columns."""
    matrix.sort_indices()
    columns, values = padded(matrix)
    if values.shape[1] > most:
        least = -np.partition(-values, most - 1, axis=1)[:, most - 1 : most]
        above, equal = values > least, values == least
        room = most - above.sum(axis=1, keepdims=True)
        chosen = above | (equal & (equal.cumsum(axis=1) <= room))
        columns, values = (each[chosen].reshape(-1, most) for each in (columns, values))
    kept = values > 0
    starts = np.r_[0, np.cumsum(kept.sum(axis=1))]
    return sparse.csr_matrix((values[kept], columns[kept], starts), matrix.shape)


def _joined(
    pieces: Sequence[sparse.csr_matrix], targets: Sequence[np.ndarray], n_items: int
) -> sparse.csr_matrix:
    """Puts the pieces' rows into the columns of their targets: `[items, items]` float32."""
    shape = n_items, n_items
    if not pieces:
        return sparse.csr_matrix(shape, dtype=np.float32)
    stacked = sparse.vstack(pieces, "csr")
    columns = _row_of(stacked, np.concatenate(targets))
    return sparse.csr_matrix((stacked.data, (stacked.indices, columns)), shape)
