"""What all models in closed form share: one call fits them, and arrays are all they keep."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import tensorflow as tf
from scipy import sparse

from tfrec.config import Section
from tfrec.data.interactions import Interactions
from tfrec.data.prepared import QueryKind

EXACT, LEAVE_ONE_OUT = "exact", "leave_one_out"
"""How what each item of a history adds to a score was found."""


class Scorer(tf.Module):
    """Scores all items for histories, by stock TensorFlow operations.

    Attributes:
      explains: how `contributions` are found.
    """

    explains: ClassVar[str] = LEAVE_ONE_OUT

    @abstractmethod
    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        """Scores all items.

        Args:
          rows: `[batch, n]` int64, the items of each history, -1 where there is none.

        Returns:
          `[batch, items]` float32, -inf for an item never to recommend.
        """

    def contributions(self, rows: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """What each item of a history adds to the scores of some.

        By default it is what a score loses without the item's place in the history.

        Args:
          rows: as `__call__` takes them.
          items: `[batch, n]` int64, rows of the catalogue.

        Returns:
          `[batch, n, places]` float32; 0 where there is no item or the score stays infinite.
        """
        places = tf.range(tf.shape(rows)[1])

        def scores(left_out: tf.Tensor) -> tf.Tensor:
            others = tf.where(places == left_out, tf.constant(-1, rows.dtype), rows)
            return tf.gather(self(others), items, batch_dims=1)  # [batch, n]

        # The first of these leaves nothing out.
        each = tf.map_fn(scores, tf.concat([[-1], places], 0), fn_output_signature=tf.float32)
        lost = tf.transpose(each[0] - each[1:], [1, 2, 0])
        return tf.where(tf.math.is_finite(lost), lost, 0.0)


class ClosedForm(ABC):
    """A model that knows shoppers by their histories alone, so it serves those it never saw.

    Attributes:
      state: names of the attributes, all arrays, that `fit` makes.
      settings: the model's own keys of a config.
      queries: what evaluation asks it, as of a `Template`.
    """

    class Settings(Section):
        """No keys."""

    state: ClassVar[tuple[str, ...]]
    queries: ClassVar[QueryKind] = "shoppers"
    settings: Settings

    def __init__(self, settings: Settings | None = None) -> None:
        """Takes the settings, by default the class's own."""
        self.settings = settings or self.Settings()

    @abstractmethod
    def fit(self, interactions: Interactions) -> None:
        """Learns from events, and forgets what an earlier call learned."""

    @abstractmethod
    def scores(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Scores all items for some shoppers.

        Args:
          histories: `[users, items]`, what each did before, as `Interactions.matrix` makes it.

        Returns:
          `[users, items]` float32, -inf for an item never to recommend.
        """

    @abstractmethod
    def in_graph(self) -> "Scorer":
        """The same scores, but for ties, as a module that goes into a SavedModel."""


def presence(histories: sparse.csr_matrix) -> sparse.csr_matrix:
    """The same pairs of shopper and item, each with the value 1 (float32)."""
    ones = np.ones(histories.nnz, np.float32)
    return sparse.csr_matrix((ones, histories.indices, histories.indptr), histories.shape)
