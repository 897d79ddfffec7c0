"""A ranker in a bundle: it puts in order what the index finds."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.models.ranking_graph import KNOWN, PLACES, WEIGHTS
from tfrec.models.signatures import EXPLAIN_FEATURES, RANK, RANK_FEATURES
from tfrec.retrieval.cells import Cells
from tfrec.retrieval.index import best

_LEAST_WIDTH = 8

Names = Callable[[tf.Tensor], tf.Tensor]
"""`[...]` cells -> `[...]` ids of their items."""


class Ranker(tf.Module):
    """Scores items by all features of the query and of each of them at once.

        score(query, item) = sum over tasks of weight * prediction(query, item)

    It holds the items' raw features by cell (see `LiveIndex`), so those that come or change while
    they are served are ranked as all others, whether or not it was trained on them.
    """

    def __init__(
        self,
        model: Any,
        features: Mapping[str, np.ndarray],
        item_feature: str,
        weights: Mapping[str, float],
        candidates: int,
        slots: int = 0,
    ) -> None:
        """Takes a trained ranker, and what it must know of each item.

        Args:
          model: SavedModel of a ranking template, loaded.
          features: `[items, ...]`, the raw item features that the model takes, as `raw_inputs`
            describes them; without the ids.
          item_feature: the feature that holds the ids; the model need not take it.
          weights: task -> weight of its prediction.
          candidates: how many items of the index it scores for a list.
          slots: how many changes of items there is room for.
        """
        super().__init__()
        self._model, self._item_feature = model, item_feature
        self._weights, self._candidates = dict(weights), candidates
        self._rank = model.signatures[RANK_FEATURES]
        self._explain = model.signatures.get(EXPLAIN_FEATURES)
        self._cells = {name: Cells(_wide(of, slots), slots) for name, of in features.items()}

    def inputs(self) -> dict[str, tf.TensorSpec]:
        """Describes what `rank` takes."""
        return dict(self._model.signatures[RANK].structured_input_signature[1])

    def fetch(self, k: tf.Tensor, items: int) -> tf.Tensor:
        """How many candidates to take from an index of some items for lists of `k`."""
        return tf.minimum(tf.maximum(k, self._candidates), items)

    def __call__(
        self,
        cells: tf.Tensor,
        scores: tf.Tensor,
        k: tf.Tensor,
        query: Mapping[str, tf.Tensor],
        ids: Names,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Makes lists of the candidates that score best.

        Args:
          cells: `[batch, n]` int64; `NO_ITEM` where there is no candidate.
          scores: `[batch, n]` float32, those of the index; -inf there.
          k: length of the lists.
          query: raw features of roles user and context, those that `inputs` names and others.
          ids: names the items of cells.

        Returns:
          cells: `[batch, k]` int64, best first; `NO_ITEM` behind the last.
          scores: `[batch, k]` float32; -inf there.
        """
        predictions = self.predict(cells, query, ids)
        own = tf.add_n([weight * predictions[task] for task, weight in self._weights.items()])
        return best(cells, tf.where(tf.math.is_inf(scores), -np.inf, own), k)

    def predict(
        self, cells: tf.Tensor, query: Mapping[str, tf.Tensor], ids: Names
    ) -> dict[str, tf.Tensor]:
        """Predicts each task for items: task -> `[batch, n]` float32, NaN for `NO_ITEM`."""
        given, takes = self._given(cells, query, ids), self._rank.structured_input_signature[1]
        predictions = self._rank(**{name: given[name] for name in takes})
        return {task: tf.where(cells < 0, np.nan, made) for task, made in predictions.items()}

    @property
    def can_explain(self) -> bool:
        """Whether the model was saved with what `explain` needs."""
        return self._explain is not None

    def explain(
        self, cells: tf.Tensor, query: Mapping[str, tf.Tensor], ids: Names
    ) -> dict[str, tf.Tensor]:
        """Explains scores of items.

        Args:
          cells: `[batch, n]` int64; `NO_ITEM` for an unknown item.
          query: what `inputs` names, `items` among it.
          ids: names the items of cells.

        Returns:
          What `answer` of `models.explanations` says.
        """
        assert self._explain is not None
        tasks = sorted(self._rank.structured_outputs)
        weights = tf.constant([float(self._weights.get(task, 0)) for task in tasks])
        known = {KNOWN: cells >= 0, WEIGHTS: weights}
        given = {**self._given(cells, query, ids), **known}
        takes = self._explain.structured_input_signature[1]
        return self._explain(**{name: given[name] for name in takes})

    def refusals(self, features: Mapping[str, tf.Tensor]) -> list[tf.Operation]:
        """Checks raw item features that are to be written."""
        return [
            tf.debugging.Assert(
                tf.reduce_all(features[name][:, held.built.shape[1] :] == ""),
                [f"{name}: an item has more values than there is room for; give fewer"],
            )
            for name, held in self._cells.items()
            if _is_list(held.built)
        ]

    def write(self, slots: tf.Tensor, features: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
        """Writes what is known of items that come or change.

        Args:
          slots: `[n]` integers.
          features: raw item features, as `raw_inputs` describes them.

        Returns:
          What depends on them happens afterwards.
        """
        done = []
        for name, held in self._cells.items():
            values = features[name]
            if _is_list(held.built):
                values = values[:, : held.built.shape[1]]
                more = held.built.shape[1] - tf.shape(values)[1]
                values = tf.pad(values, [[0, 0], [0, more]])
            done.append(held.write(slots, values))
        return done

    def _given(
        self, cells: tf.Tensor, query: Mapping[str, tf.Tensor], ids: Names
    ) -> dict[str, tf.Tensor]:
        """What is known of a query and of items; what several queries name is looked up once."""
        distinct, places = tf.unique(tf.reshape(tf.maximum(cells, 0), [-1]))
        items = {name: held.gather(distinct) for name, held in self._cells.items()}
        places = tf.reshape(places, tf.shape(cells))
        return {**query, **items, self._item_feature: ids(distinct), PLACES: places}


def _wide(values: np.ndarray, slots: int) -> np.ndarray:
    """Gives lists of strings room for more, where items change."""
    if values.dtype != object or values.ndim == 1 or not slots:
        return values
    more = max(0, _LEAST_WIDTH - values.shape[1])
    return np.pad(values, [(0, 0), (0, more)], constant_values="")


def _is_list(values: tf.Variable) -> bool:
    return values.dtype == tf.string and values.shape.rank == 2
