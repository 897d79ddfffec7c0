"""The graph of a bundle: a model, its index, and what makes lists of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.models.signatures import (
    EMBED_ITEM,
    EMBED_QUERY,
    EXPLAIN,
    EXPLAIN_VECTORS,
    RANK,
    SCORE_CATALOGUE,
    VECTORS,
)
from tfrec.retrieval.filters import NEW_ITEMS, ItemFilter, with_new
from tfrec.retrieval.fixed import FixedIndex
from tfrec.retrieval.index import best, marked
from tfrec.retrieval.live import LiveIndex, Moment, Searched
from tfrec.retrieval.measure import EQUAL
from tfrec.retrieval.reranking import Reranker
from tfrec.serving.names import (
    DEFAULT,
    EXCLUDE,
    FILTERED,
    IDS,
    ITEMS,
    LEFT,
    MEASURE_RECALL,
    PUT_ITEMS,
    RECALL,
    RECOMMEND,
    REMOVE_ITEMS,
    REMOVED,
    ROOM,
    SCORES,
    K,
)
from tfrec.serving.ranker import Ranker

_OWN = (EMBED_QUERY, EMBED_ITEM, SCORE_CATALOGUE, RANK, EXPLAIN)

Tensors = Mapping[str, tf.Tensor]
Lists = tuple[tf.Tensor, tf.Tensor]


class Bundle(tf.Module):
    """What a bundle's signatures compute; `export_bundle` describes them."""

    def __init__(
        self,
        model: tf.Module,
        index: Searched,
        ids: Sequence[str],
        default_k: int,
        item_filter: ItemFilter | None = None,
        reranker: Reranker | None = None,
        item_feature: str = "",
        slots: int = 0,
        ranker: Ranker | None = None,
    ) -> None:
        """Takes the parts; see `export_bundle`."""
        super().__init__()
        self._model, self._filter, self._reranker = model, item_filter, reranker
        self._ranker = ranker
        self._default_k = min(default_k, len(ids))
        self._item_feature = item_feature
        own = {name: model.signatures[name] for name in _OWN if name in model.signatures}
        self._own: dict[str, Any] = own
        self._ask = own.get(EMBED_QUERY) or own[SCORE_CATALOGUE]
        explain = model.signatures.get(EXPLAIN_VECTORS) if hasattr(index, "vectors_of") else None
        self._explain_vectors = explain
        if slots:
            (vectors,) = self._ask.structured_outputs.values()
            self._index = LiveIndex(index, ids, vectors.shape[-1], slots)
        else:
            self._index = FixedIndex(index, ids)

    def inputs(self) -> dict[str, dict[str, tf.TensorSpec]]:
        """Describes what the signatures take, but for those of the model itself."""
        features = self._ask.structured_input_signature[1]
        k = tf.TensorSpec([], tf.int32, K)
        asked = {**features, K: k, EXCLUDE: tf.TensorSpec([None, None], tf.string, EXCLUDE)}
        inputs = {DEFAULT: features, RECOMMEND: asked}
        if self._filter is not None:
            new_items = tf.TensorSpec([], tf.int32, NEW_ITEMS)
            inputs[FILTERED] = {**asked, NEW_ITEMS: new_items, **self._filter.inputs()}
        if self._ranker is not None:
            inputs[RANK] = self._ranker.inputs()
        if self._ranker is not None and self._ranker.can_explain:
            inputs[EXPLAIN] = self._ranker.inputs()
        elif self._ranker is None and self._explain_vectors is not None:
            inputs[EXPLAIN] = dict(self._explain_vectors.structured_input_signature[1])
            inputs[EXPLAIN].pop(VECTORS)
        if EMBED_QUERY in self._own:
            inputs[MEASURE_RECALL] = {**features, K: k}
        if isinstance(self._index, LiveIndex):
            items = {ITEMS: tf.TensorSpec([None], tf.string, ITEMS)}
            known = dict(self._own[EMBED_ITEM].structured_input_signature[1])
            known.pop(self._item_feature, None)
            inputs |= {PUT_ITEMS: {**items, **known}, REMOVE_ITEMS: items}
        return inputs

    def signatures(self) -> dict[str, Callable]:
        """The signatures by name."""
        computes = {
            DEFAULT: self._recommend_by_default,
            RECOMMEND: self._recommend,
            FILTERED: self._recommend_filtered,
            RANK: self._rank,
            EXPLAIN: self._explain,
            MEASURE_RECALL: self._measure_recall,
            PUT_ITEMS: self._put,
            REMOVE_ITEMS: self._remove,
        }
        made = {
            name: tf.function(computes[name], input_signature=[specs], autograph=False)
            for name, specs in self.inputs().items()
        }
        return {**self._own, **made}

    def _recommend(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        moment = self._index.now()
        with tf.control_dependencies([moment.cells]):
            queries, k, exclude = self._asked(inputs, moment)

            def search(n: tf.Tensor) -> Lists:
                return self._ranked(
                    lambda n: self._index.search(queries, n, exclude, moment), inputs, n
                )

            return self._named(*self._listed(search, inputs, k, exclude, moment))

    def _recommend_by_default(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        nothing = tf.fill([_batch(inputs), 0], "")
        return self._recommend({**inputs, K: tf.constant(self._default_k), EXCLUDE: nothing})

    def _recommend_filtered(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        moment = self._index.now()
        with tf.control_dependencies([moment.cells]):
            allowed, new, raw = self._allowed(inputs, moment)
            queries, k, exclude = self._asked(raw, moment)
            allowed &= ~marked(exclude, self._index.items + self._index.slots)

            def search(n: tf.Tensor, among: tf.Tensor = allowed) -> Lists:
                return self._ranked(
                    lambda n: self._index.search_allowed(queries, n, among, moment), raw, n
                )

            found = self._listed(search, raw, k, exclude, moment, allowed)

            def mixed() -> Lists:
                new_ones = search(tf.minimum(inputs[NEW_ITEMS], k), allowed & new)
                cells, scores = with_new(*found, *new_ones)
                return (cells, scores) if self._reranker else best(cells, scores, k)

            lists = tf.cond(inputs[NEW_ITEMS] > 0, mixed, lambda: found)
            left = tf.math.count_nonzero(allowed, 1, dtype=tf.int32)
            return {**self._named(*lists), LEFT: left}

    def _allowed(
        self, inputs: Tensors, moment: Moment
    ) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
        """Which cells pass, which of all are new, and the inputs that say neither."""
        assert self._filter is not None
        raw = {name: value for name, value in inputs.items() if name != NEW_ITEMS}
        conditions = {name: raw.pop(name) for name in self._filter.inputs()}
        allowed = self._filter.allowed(conditions, _batch(raw), moment.written)
        return allowed & self._index.there(moment), self._filter.new(moment.written), raw

    def _asked(self, inputs: Tensors, moment: Moment) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The queries, `k`, and the cells of excluded items."""
        raw = dict(inputs)
        k, exclude = raw.pop(K), self._index.find(raw.pop(EXCLUDE), moment)
        items = self._index.items
        check = tf.debugging.Assert((k >= 1) & (k <= items), [_refusal(k, items)])
        with tf.control_dependencies([check]):
            (queries,) = self._ask(**raw).values()
        return queries, k, exclude

    def _ranked(self, find: Callable[[tf.Tensor], Lists], inputs: Tensors, n: tf.Tensor) -> Lists:
        """The best `n` items: those of the index, or of its candidates by the ranker's scores."""
        ranker = self._ranker
        if ranker is None:
            return find(n)
        candidates = find(ranker.fetch(n, self._index.items))
        return ranker(*candidates, n, inputs, self._index.ids)

    def _rank(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        assert self._ranker is not None
        moment = self._index.now()
        with tf.control_dependencies([moment.cells]):
            cells = self._index.find(inputs[ITEMS], moment)
            return self._ranker.predict(cells, inputs, self._index.ids)

    def _explain(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        """Explains the scores that lists are ordered by, before the rules of re-ranking."""
        moment = self._index.now()
        with tf.control_dependencies([moment.cells]):
            cells = self._index.find(inputs[ITEMS], moment)
            if self._ranker is not None:
                return self._ranker.explain(cells, inputs, self._index.ids)
            assert self._explain_vectors is not None
            flat = tf.reshape(cells, [-1])
            vectors = self._index.vectors_of(tf.maximum(flat, 0))
            vectors = tf.where(flat[:, tf.newaxis] < 0, np.nan, vectors)
            shape = tf.concat([tf.shape(cells), tf.shape(vectors)[1:]], 0)
            return self._explain_vectors(**inputs, vectors=tf.reshape(vectors, shape))

    def _listed(
        self,
        search: Callable[[tf.Tensor], Lists],
        inputs: Tensors,
        k: tf.Tensor,
        exclude: tf.Tensor,
        moment: Moment,
        allowed: tf.Tensor | None = None,
    ) -> Lists:
        """Searches for as many items as lists of `k` take, and makes the lists."""
        rules = self._reranker
        if rules is None:
            return search(k)
        history = self._index.find(inputs[rules.history], moment) if rules.history else None
        found = search(rules.fetch(k))
        return rules(*found, k, history, exclude, allowed, moment.cells)

    def _named(self, cells: tf.Tensor, scores: tf.Tensor) -> dict[str, tf.Tensor]:
        return {IDS: self._index.ids(cells), SCORES: scores}

    def _measure_recall(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        moment = self._index.now()
        with tf.control_dependencies([moment.cells]):
            nothing = tf.fill([_batch(inputs), 0], "")
            queries, k, exclude = self._asked({**inputs, EXCLUDE: nothing}, moment)
            found, scores = self._index.search(queries, k, exclude, moment)
            exact, best_scores = self._index.search_exact(queries, k, moment)
        last = best_scores[:, -1:]
        hits, all_hits = (
            tf.math.count_nonzero(hit, 1, dtype=tf.float32)
            for hit in ((found >= 0) & (scores >= last - EQUAL * tf.abs(last)), exact >= 0)
        )
        return {RECALL: tf.math.divide_no_nan(hits, all_hits)}

    def _put(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        assert isinstance(self._index, LiveIndex)
        features = dict(inputs)
        items = features.pop(ITEMS)
        takes = self._own[EMBED_ITEM].structured_input_signature[1]
        named = {self._item_feature: items} if self._item_feature in takes else {}
        (vectors,) = self._own[EMBED_ITEM](**features, **named).values()

        def write(slots: tf.Tensor, cells: tf.Tensor) -> list[tf.Tensor]:
            done = []
            if self._filter is not None:
                done += self._filter.write(slots, features, cells)
            if self._reranker is not None:
                done += self._reranker.write(slots, items, features, vectors)
            if self._ranker is not None:
                done += self._ranker.write(slots, features)
            return done

        refusals = self._filter.refusals(features) if self._filter is not None else []
        refusals += self._ranker.refusals(features) if self._ranker is not None else []
        with tf.control_dependencies(refusals):
            return {ROOM: self._index.put(tf.identity(items), vectors, write)}

    def _remove(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        assert isinstance(self._index, LiveIndex)
        return {REMOVED: self._index.remove(inputs[ITEMS])}


def _batch(inputs: Tensors) -> tf.Tensor:
    return tf.shape(next(iter(inputs.values())))[0]


def _refusal(k: tf.Tensor, items: int) -> tf.Tensor:
    return tf.strings.format(
        "k: {} is not between 1 and " + f"{items}; ask for at least one item and no more than "
        "the catalogue holds",
        k,
    )
