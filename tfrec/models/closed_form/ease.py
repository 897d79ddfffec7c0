"""A linear autoencoder of histories, solved in one step."""

from typing import Annotated

import numpy as np
import psutil
import tensorflow as tf
from pydantic import Field
from scipy import sparse
from scipy.linalg import lapack

from tfrec.data.interactions import Interactions
from tfrec.errors import UserError
from tfrec.models.closed_form.fitted import EXACT, ClosedForm, Scorer, presence
from tfrec.models.closed_form.histories import distinct, share_of

_COLUMNS = 512  # of the Gram matrix made at once
_BYTES_PER_PAIR = 16  # the Gram matrix in double precision, and its inverse twice in single


class EASE(ClosedForm):
    """Predicts each item of a history from the other items in it.

        min |X - X B|^2 + l2 |B|^2 with diag(B) = 0
        P = (X'X + l2 I)^-1,  B_ij = -P_ij / P_jj for i != j,  score(u, .) = x_u B

    `X` is 1 where a shopper chose an item. An item without a training event, or left out by
    `most_items`, is never recommended.

    Source: Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019.
    """

    class Settings(ClosedForm.Settings):
        """The model's own keys.

        Attributes:
          l2: the penalty of large weights.
          most_items: how many items to keep, the most popular; by default all.
        """

        l2: Annotated[float, Field(gt=0)] = 500.0
        most_items: Annotated[int, Field(gt=0)] | None = None

    settings: Settings
    state = ("items", "weights", "n_items")
    items: np.ndarray
    weights: np.ndarray
    n_items: np.ndarray

    def fit(self, interactions: Interactions) -> None:
        """Solves for `weights`, `[kept, kept]` float32, of the kept `items`, `[kept]` int64.

        Raises:
          UserError: if the weights would not fit into the memory that is free.
        """
        chosen = interactions.matrix()
        self.n_items = np.array(interactions.n_items)
        self.items = self._kept(np.bincount(chosen.indices, minlength=interactions.n_items))
        _check_memory(len(self.items), psutil.virtual_memory().available)
        gram = _gram(chosen[:, self.items])
        gram[np.diag_indices_from(gram)] += self.settings.l2
        self.weights = _weights(gram)

    def scores(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Scores all items for some shoppers: `[users, items]` float32, -inf for those not kept."""
        scores = np.full([histories.shape[0], self.n_items], -np.inf, np.float32)
        scores[:, self.items] = presence(histories)[:, self.items] @ self.weights
        return scores

    def in_graph(self) -> Scorer:
        """See the base class."""
        return _Linear(self.items, self.weights, int(self.n_items))

    def _kept(self, counts: np.ndarray) -> np.ndarray:
        by_popularity = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        return np.sort(by_popularity[: self.settings.most_items])


class _Linear(Scorer):
    explains = EXACT

    def __init__(self, items: np.ndarray, weights: np.ndarray, n_items: int) -> None:
        super().__init__()
        places = np.full(n_items, -1)
        places[items] = np.arange(len(items))
        self._places = tf.Variable(places, trainable=False)  # [items], among those kept
        self._weights = tf.Variable(weights, trainable=False)

    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        known = tf.where(rows < 0, rows, tf.gather(self._places, tf.maximum(rows, 0)))
        known = distinct(known)
        cells = tf.where(known >= 0)  # [n, 2]
        columns = tf.gather_nd(known, cells)
        shape = tf.stack([tf.shape(rows, tf.int64)[0], tf.shape(self._weights, tf.int64)[0]])
        indices = tf.stack([cells[:, 0], columns], 1)
        histories = tf.SparseTensor(indices, tf.ones([tf.size(columns)]), shape)
        kept = tf.sparse.sparse_dense_matmul(histories, self._weights)
        scores = tf.gather(kept, tf.maximum(self._places, 0), axis=1)
        return tf.where(self._places < 0, -np.inf, scores)

    def contributions(self, rows: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        own = tf.where(rows < 0, rows, tf.gather(self._places, tf.maximum(rows, 0)))
        pairs = tf.stack(
            [  # [batch, n, places]
                tf.repeat(own[:, tf.newaxis], tf.shape(items)[1], axis=1),
                tf.repeat(tf.gather(self._places, items)[..., tf.newaxis], tf.shape(rows)[1], 2),
            ],
            -1,
        )
        weights = tf.gather_nd(self._weights, tf.maximum(pairs, 0))
        weights = tf.where(tf.reduce_all(pairs >= 0, -1), weights, 0.0)
        return weights * share_of(rows)[:, tf.newaxis]


def _check_memory(items: int, free: int) -> None:
    needed = items**2 * _BYTES_PER_PAIR
    if needed > free:
        raise UserError(
            f"most_items: EASE on {items:,} items takes {needed / 1e9:,.1f} GB and "
            f"{free / 1e9:,.1f} GB are free; set it to {int((free / _BYTES_PER_PAIR) ** 0.5)} or "
            "less to keep the most popular ones, or take item_knn or ials"
        )


def _gram(chosen: sparse.csr_matrix) -> np.ndarray:
    """In how many histories two items are together: `[items, items]` float64."""
    items = chosen.shape[1]
    gram = np.empty([items, items], order="F")
    by_item = chosen.T.tocsr()
    for start in range(0, items, _COLUMNS):
        columns = slice(start, start + _COLUMNS)
        # The matrix is symmetric: some of its rows are those of its columns.
        gram[:, columns] = (by_item[columns] @ chosen).toarray().T
    return gram


def _weights(gram: np.ndarray) -> np.ndarray:
    """Inverts a positive definite matrix, in its own memory, and scales the inverse: B."""
    factor, failed = lapack.dpotrf(gram, lower=True, overwrite_a=True)
    if failed:
        raise ArithmeticError(f"dpotrf stopped at column {failed}; raise l2")
    inverse, _ = lapack.dpotri(factor, lower=True, overwrite_c=True)
    diagonal = inverse.diagonal().astype(np.float32)
    lower = np.tril(inverse.astype(np.float32), -1)
    del gram, factor, inverse
    lower += lower.T
    lower /= -diagonal
    return lower
