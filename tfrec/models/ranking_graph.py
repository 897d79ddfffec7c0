"""What the signatures of a ranker compute."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfrec.embeddings.features import Features
from tfrec.features.parsing import parsing_spec
from tfrec.features.signature import raw_inputs
from tfrec.models.base import select
from tfrec.models.catalogue_features import CatalogueFeatures
from tfrec.models.explanations import answer, explain_ranking
from tfrec.models.ranking import RankingTemplate
from tfrec.models.shared_graphs import shared_transform, transformed_inputs

ITEMS, SCORES = "items", "scores"
EXAMPLES, PLACES, KNOWN, WEIGHTS = "examples", "places", "known", "weights"

Tensors = dict[str, tf.Tensor]


class RankingGraph:
    """Ranks and explains items that are named by their ids, or told by features of their own.

    What takes long to trace is a graph of its own, which the signatures share: the transform, what
    the model predicts, and the explanation of it. `save_ranking_model` describes the signatures.
    """

    def __init__(
        self, model: RankingTemplate, layer: tf.Module, catalogue: CatalogueFeatures, item: str
    ) -> None:
        """Describes the graphs.

        Args:
          model: a trained template.
          layer: the transform graph.
          catalogue: the items that have ids.
          item: the feature that holds them.
        """
        spec, queries, items = model.spec, model.query_features, model.item_features
        self._model, self._catalogue, self._item = model, catalogue, item
        self._parsing = parsing_spec(spec, [*queries, *items])
        self._query = shared_transform(layer, spec, queries)
        self._items = shared_transform(layer, spec, items)
        self._raw_query, self._raw_items = raw_inputs(spec, queries), raw_inputs(spec, items)
        self._predict = tf.function(
            model.rank, [transformed_inputs(spec, [*queries, *items])], autograph=False
        )
        explained = [
            self._raw_query,
            transformed_inputs(spec, items),
            tf.TensorSpec([None, None], tf.string),
            tf.TensorSpec([None, None], tf.bool),
            tf.TensorSpec([None], tf.float32),
        ]
        self._explained = tf.function(self._explain_pairs, explained, autograph=False)

    def rank(self, inputs: Tensors) -> Tensors:
        """Predicts each task for the items with some ids."""
        rows = self._catalogue.rows(inputs[ITEMS])
        predictions = self._rank_rows(inputs, tf.maximum(rows, 0), self._catalogue)
        return {task: tf.where(rows < 0, np.nan, p) for task, p in predictions.items()}

    def rank_features(self, inputs: Tensors) -> Tensors:
        """Predicts each task for items with some features."""
        return self._rank_rows(inputs, inputs[PLACES], self._features_of_items(inputs))

    def rank_examples(self, examples: tf.Tensor) -> Tensors:
        """Predicts each task for serialised Examples."""
        features = tf.io.parse_example(examples, self._parsing)
        return self._predict(
            select(features, [*self._model.query_features, *self._model.item_features])
        )

    def score_catalogue(self, raw: Tensors) -> Tensors:
        """Predicts the first task for all of the catalogue."""
        batch = tf.shape(next(iter(raw.values())))[0]
        every = tf.tile(tf.range(self._catalogue.items)[tf.newaxis], [batch, 1])
        return {SCORES: next(iter(self._rank_rows(raw, every, self._catalogue).values()))}

    def explain(self, inputs: Tensors) -> Tensors:
        """Explains the first task for the items with some ids."""
        rows = self._catalogue.rows(inputs[ITEMS])
        features = self._catalogue(tf.reshape(tf.maximum(rows, 0), [-1]))
        tasks = list(self._predict.get_concrete_function().structured_outputs)
        first = tf.constant([float(task == tasks[0]) for task in sorted(tasks)])
        raw = select(inputs, self._model.query_features)
        return self._explained(raw, features, inputs[ITEMS], rows >= 0, first)

    def explain_features(self, inputs: Tensors) -> Tensors:
        """Explains a weighted sum of the tasks for items with some features."""
        features = self._features_of_items(inputs)(tf.reshape(inputs[PLACES], [-1]))
        raw = select(inputs, self._model.query_features)
        return self._explained(raw, features, inputs[ITEMS], inputs[KNOWN], inputs[WEIGHTS])

    def signatures(self) -> list[tf.types.experimental.PolymorphicFunction]:
        """Gives all of them the description of their inputs."""
        ids = {ITEMS: tf.TensorSpec([None, None], tf.string, ITEMS)}
        some = {PLACES: tf.TensorSpec([None, None], tf.int32, PLACES)}
        known = {KNOWN: tf.TensorSpec([None, None], tf.bool, KNOWN)}
        weights = {WEIGHTS: tf.TensorSpec([None], tf.float32, WEIGHTS)}
        query, all_raw = self._raw_query, {**self._raw_query, **self._raw_items}
        inputs = [
            (self.rank, {**query, **ids}),
            (self.rank_features, {**all_raw, **some}),
            (self.rank_examples, tf.TensorSpec([None], tf.string, EXAMPLES)),
            (self.score_catalogue, query),
            (self.explain, {**query, **ids}),
            (self.explain_features, {**all_raw, **ids, **some, **known, **weights}),
        ]
        return [tf.function(method, [taken], autograph=False) for method, taken in inputs]

    def _rank_rows(
        self, inputs: Tensors, rows: tf.Tensor, items: Callable[[tf.Tensor], Features]
    ) -> Tensors:
        """Ranks `[batch, n]` rows, of which `items` tells the features, each for its query."""
        query = self._query(select(inputs, self._model.query_features))
        owner = tf.repeat(tf.range(tf.shape(rows)[0]), tf.shape(rows)[1])
        features = {name: tf.gather(query[name], owner) for name in self._model.query_features}
        features |= items(tf.reshape(rows, [-1]))
        predictions = self._predict(features)
        return {task: tf.reshape(p, tf.shape(rows)) for task, p in predictions.items()}

    def _features_of_items(self, inputs: Tensors) -> Callable[[tf.Tensor], Features]:
        """Tells the features of places among items whose raw ones are given."""
        columns = self._items(select(inputs, self._model.item_features))
        return lambda places: {name: tf.gather(column, places) for name, column in columns.items()}

    def _explain_pairs(
        self, raw: Tensors, items: Features, ids: tf.Tensor, known: tf.Tensor, weights: tf.Tensor
    ) -> Tensors:
        """Explains weighted sums of predictions for `[batch, n]` items, told by their features."""

        def score(predictions: Tensors) -> tf.Tensor:
            tasks = [predictions[task] for task in sorted(predictions)]
            return tf.tensordot(weights, tf.stack(tasks), 1)

        n = tf.shape(ids)[1]
        parts = explain_ranking(self._model, self._query, self._item, raw, items, n, score)
        return answer(parts, ids, known)
