"""The most popular items, alike for everybody."""

import numpy as np
import tensorflow as tf
from scipy import sparse

from tfrec.config import Duration
from tfrec.data.interactions import Interactions
from tfrec.models.closed_form.fitted import EXACT, ClosedForm, Scorer


class Popularity(ClosedForm):
    """Ranks items by the weight of their events, which may fade with time.

        score(u, i) = sum of w_e * 2^(-(T - t_e) / half_life) over the events e of item i

    `T` is the time of the newest event; without a half life every event keeps its weight.

    Source: Ji, Sun, Zhang and Li, A Re-visit of the Popularity Baseline in Recommender Systems,
    SIGIR 2020.
    """

    class Settings(ClosedForm.Settings):
        """The model's own keys.

        Attributes:
          half_life: after which an event counts half; by default never.
        """

        half_life: Duration | None = None

    settings: Settings
    state = ("popularity",)
    popularity: np.ndarray

    def fit(self, interactions: Interactions) -> None:
        """Adds up the weights: `popularity` is `[items]` float32."""
        if self.settings.half_life:
            interactions = interactions.decayed(self.settings.half_life)
        sums = np.bincount(interactions.items, interactions.weights, interactions.n_items)
        self.popularity = sums.astype(np.float32)

    def scores(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Scores all items for some shoppers: `[users, items]` float32."""
        return np.tile(self.popularity, (histories.shape[0], 1))

    def in_graph(self) -> Scorer:
        """See the base class."""
        return _AlikeForAll(self.popularity)


class _AlikeForAll(Scorer):
    explains = EXACT

    def __init__(self, popularity: np.ndarray) -> None:
        super().__init__()
        self._popularity = tf.Variable(popularity, trainable=False)

    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.tile(self._popularity[tf.newaxis], [tf.shape(rows)[0], 1])

    def contributions(self, rows: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        return tf.zeros([*tf.unstack(tf.shape(items)), tf.shape(rows)[1]])
