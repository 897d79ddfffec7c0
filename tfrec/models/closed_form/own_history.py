"""What a shopper bought before, once more."""

import numpy as np
import tensorflow as tf
from scipy import sparse

from tfrec.data.interactions import Interactions
from tfrec.models.closed_form.fitted import EXACT, ClosedForm, Scorer
from tfrec.models.closed_form.histories import add_up, owners_of


class OwnHistory(ClosedForm):
    """Ranks the items of a shopper's history by how often they are in it; it recommends no other.

        score(u, i) = number of u's items j with (h_uj, p_j) <= (h_ui, p_i), equal pairs once

    `h` are the values of the history, usually counts of events, and `p` is an item's popularity,
    which decides between equals alone. In a history of `Interactions.decayed` what was bought
    lately counts more.

    Source: the personalised item frequency of Hu, He, Gao and Zhang, Modeling Personalized Item
    Frequency Information for Next-basket Recommendation, SIGIR 2020.
    """

    state = ("popularity",)
    popularity: np.ndarray

    def fit(self, interactions: Interactions) -> None:
        """Adds up the items' weights: `popularity` is `[items]` float32."""
        sums = np.bincount(interactions.items, interactions.weights, interactions.n_items)
        self.popularity = sums.astype(np.float32)

    def scores(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Scores all items for some shoppers: `[users, items]` float32, -inf for the unseen."""
        users = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
        popularity = self.popularity[histories.indices]
        order = np.lexsort((popularity, histories.data, users))
        rises = _differs(histories.data[order]) | _differs(popularity[order])
        places = np.cumsum(rises)  # over all shoppers
        own = places - places[histories.indptr[users]] + 1  # the users are in order already
        scores = np.full(histories.shape, -np.inf, np.float32)
        scores[users, histories.indices[order]] = own
        return scores

    def in_graph(self) -> Scorer:
        """See the base class."""
        return _Counts(self.popularity)


class _Counts(Scorer):
    """Counts, and a share of 1 by popularity."""

    explains = EXACT

    def __init__(self, popularity: np.ndarray) -> None:
        super().__init__()
        place = np.argsort(np.argsort(popularity)) / max(len(popularity), 1)
        place[popularity == 0] = 0
        self._share = tf.Variable(place.astype(np.float32), trainable=False)

    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        shape = tf.stack([tf.shape(rows, tf.int64)[0], tf.size(self._share, tf.int64)])
        ones = tf.ones([tf.size(rows)])
        counts = add_up(ones, owners_of(rows), tf.reshape(rows, [-1]), shape)
        return tf.where(counts > 0, counts + self._share, -np.inf)

    def contributions(self, rows: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        return tf.cast(items[:, :, tf.newaxis] == rows[:, tf.newaxis, :], tf.float32)


def _differs(values: np.ndarray) -> np.ndarray:
    """Whether each value is another than the one before it."""
    return np.r_[True, values[1:] != values[:-1]][: len(values)]
