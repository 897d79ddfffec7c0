"""Matrix factorisation of who chose what, with all that was not chosen as weak evidence."""

from typing import Annotated

import numpy as np
import tensorflow as tf
from pydantic import Field
from scipy import sparse

from tfrec.data.interactions import Interactions
from tfrec.models.closed_form.fitted import EXACT, ClosedForm, Scorer, presence
from tfrec.models.closed_form.histories import distinct, share_of
from tfrec.models.closed_form.padding import blocks, padded

_FLOATS = 1 << 20  # of gathered factors at once: what stays in the cache
_INITIAL_SCALE = 0.1


class IALS(ClosedForm):
    """Learns a vector per shopper and per item by alternating least squares.

        score(u, i) = w_u . h_i
        min sum over chosen (u, i) of c_ui (w_u . h_i - 1)^2
            + unobserved_weight * sum over all (u, i) of (w_u . h_i)^2
            + l2 * sum over u of (|I_u| + unobserved_weight |I|)^frequency_exponent |w_u|^2
            + l2 * sum over i of (|U_i| + unobserved_weight |U|)^frequency_exponent |h_i|^2

    Shopper u chose the items I_u of all items I, and item i was chosen by the shoppers U_i of all
    shoppers U. The confidence c_ui is 1, or the weight of the events. With the items' vectors fixed
    a shopper's is the solution of a linear system, and the other way round; scoring solves it for
    the history it is given. An item without a training event is never recommended: its vector is
    0, above items that are expected to be disliked.

    Source: Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM
    2008; in the form of Rendle, Krichene, Zhang and Koren, Revisiting the Performance of iALS on
    Item Recommendation Benchmarks, RecSys 2022.
    """

    class Settings(ClosedForm.Settings):
        """The model's own keys.

        Attributes:
          dim: floats of a vector.
          iterations: solutions for all shoppers and all items.
          l2: the penalty of long vectors.
          unobserved_weight: of a pair that did not happen, where one that did counts 1.
          frequency_exponent: how much more the vectors of frequent shoppers and items are
            penalised; 0 is not at all.
          weighted: whether the weight of events is the confidence in a pair.
          seed: of the items' first vectors.
        """

        dim: Annotated[int, Field(gt=0)] = 64
        iterations: Annotated[int, Field(gt=0)] = 16
        l2: Annotated[float, Field(gt=0)] = 0.01
        unobserved_weight: Annotated[float, Field(gt=0)] = 0.3
        frequency_exponent: Annotated[float, Field(ge=0)] = 1.0
        weighted: bool = False
        seed: int = 0

    settings: Settings
    state = ("item_vectors",)
    item_vectors: np.ndarray

    def fit(self, interactions: Interactions) -> None:
        """Solves for `item_vectors`, `[items, dim]` float32."""
        by_user = interactions.matrix(self.settings.weighted)
        by_item = by_user.T.tocsr()
        random = np.random.default_rng(self.settings.seed)
        shape = interactions.n_items, self.settings.dim
        deviation = _INITIAL_SCALE / self.settings.dim**0.5
        self.item_vectors = random.normal(0, deviation, shape).astype(np.float32)
        for _ in range(self.settings.iterations):
            self.item_vectors = self._solve(by_item, self._solve(by_user, self.item_vectors))

    def embed(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Solves for the shoppers' vectors: `[users, dim]` float32, 0 without a history."""
        known = histories if self.settings.weighted else presence(histories)
        return self._solve(known, self.item_vectors)

    def scores(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Scores all items for some shoppers: `[users, items]` float32, -inf for the unknown."""
        scores = self.embed(histories) @ self.item_vectors.T
        scores[:, ~self.item_vectors.any(axis=1)] = -np.inf
        return scores

    def in_graph(self) -> Scorer:
        """See the base class; each event of a history counts 1."""
        return _FoldIn(self.item_vectors, self.settings)

    def _solve(self, chosen: sparse.csr_matrix, others: np.ndarray) -> np.ndarray:
        """Solves for the vectors of one side.

        Args:
          chosen: `[rows, others]`, the confidence in each chosen pair.
          others: `[others, dim]` float32, the vectors of the other side.

        Returns:
          `[rows, dim]` float32.
        """
        settings, (n_others, dim) = self.settings, others.shape
        lengths = np.diff(chosen.indptr)
        frequency = lengths + settings.unobserved_weight * n_others
        penalties = (settings.l2 * frequency**settings.frequency_exponent).astype(np.float32)
        unobserved = np.float32(settings.unobserved_weight) * (others.T @ others)  # [dim, dim]
        others = np.append(others, np.zeros([1, dim], np.float32), axis=0)  # the padding's, row -1
        solved = np.zeros([len(lengths), dim], np.float32)
        for rows in blocks(lengths * dim, _FLOATS):
            places, confidence = padded(chosen[rows])
            vectors = others[places]  # [n, widest, dim]
            weighed = vectors * confidence[..., np.newaxis]
            left = tf.matmul(weighed, vectors, transpose_a=True) + unobserved  # [n, dim, dim]
            left = tf.linalg.set_diag(left, tf.linalg.diag_part(left) + penalties[rows, np.newaxis])
            right = weighed.sum(axis=1)[..., np.newaxis]  # [n, dim, 1]
            solution = tf.linalg.cholesky_solve(tf.linalg.cholesky(left), right)
            solved[rows] = solution[..., 0]
        return solved


class _FoldIn(Scorer):
    """Solves for shoppers' vectors.

    A shopper's vector is a sum over the history, of inverse(A) h_i for its items i, so that each
    adds h_j . inverse(A) h_i to the score of an item j: section 5 of Hu et al.
    """

    explains = EXACT

    def __init__(self, item_vectors: np.ndarray, settings: IALS.Settings) -> None:
        super().__init__()
        self._vectors = tf.Variable(item_vectors, trainable=False)
        self._settings = settings

    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        items = self._vectors.read_value()
        summed = tf.reduce_sum(self._chosen(rows), 1)[..., tf.newaxis]  # [batch, dim, 1]
        shoppers = tf.linalg.cholesky_solve(self._factor(rows), summed)[..., 0]
        scores = tf.matmul(shoppers, items, transpose_b=True)
        return tf.where(tf.reduce_any(items != 0, 1), scores, -np.inf)

    def contributions(self, rows: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        weights = tf.cast(rows >= 0, tf.float32) if self._settings.weighted else share_of(rows)
        own = tf.gather(self._vectors, tf.maximum(rows, 0)) * weights[..., tf.newaxis]
        solved = tf.linalg.cholesky_solve(self._factor(rows), tf.transpose(own, [0, 2, 1]))
        return tf.matmul(tf.gather(self._vectors, items), solved)

    def _chosen(self, rows: tf.Tensor) -> tf.Tensor:
        """The vectors of what counts of a history: `[batch, n, dim]`, zeros for none."""
        there = rows if self._settings.weighted else distinct(rows)
        mask = tf.cast(there >= 0, tf.float32)[..., tf.newaxis]
        return tf.gather(self._vectors, tf.maximum(there, 0)) * mask

    def _factor(self, rows: tf.Tensor) -> tf.Tensor:
        """The Cholesky factor of A: `[batch, dim, dim]`."""
        settings, items = self._settings, self._vectors.read_value()
        vectors = self._chosen(rows)
        lengths = tf.reduce_sum(tf.cast(distinct(rows) >= 0, tf.float32), 1)
        frequency = lengths + settings.unobserved_weight * items.shape[0]
        penalty = settings.l2 * frequency**settings.frequency_exponent
        unobserved = settings.unobserved_weight * tf.matmul(items, items, transpose_a=True)
        left = tf.matmul(vectors, vectors, transpose_a=True) + unobserved  # [batch, dim, dim]
        left = tf.linalg.set_diag(left, tf.linalg.diag_part(left) + penalty[:, tf.newaxis])
        return tf.linalg.cholesky(left)
