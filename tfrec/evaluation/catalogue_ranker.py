"""A model that scores the whole catalogue, as evaluation asks it."""

import numpy as np
import tensorflow as tf

from tfrec.data.query_set import QuerySet
from tfrec.models.signatures import SCORE_CATALOGUE


class CatalogueRanker:
    """Asks a SavedModel for its scores of all items."""

    def __init__(self, model: tf.Module) -> None:
        """Takes a loaded SavedModel of a ranking template, or of a model in closed form."""
        self._score = model.signatures[SCORE_CATALOGUE]
        self._features = list(self._score.structured_input_signature[1])

    def scores(self, queries: QuerySet) -> np.ndarray:
        """Scores all items for some shoppers: `[shoppers, items]` float32, -inf for never."""
        inputs = queries.inputs(self._features)
        tensors = {name: tf.constant(values) for name, values in inputs.items()}
        (scores,) = self._score(**tensors).values()
        return scores.numpy()
