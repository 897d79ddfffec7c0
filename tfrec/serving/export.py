"""A trained model and its index as one SavedModel for TensorFlow Serving."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from tfrec.models.signatures import EMBED_QUERY, RANK, SCORE_CATALOGUE
from tfrec.retrieval.filters import NEW_ITEMS, ItemFilter, with_new
from tfrec.retrieval.index import NO_ITEM, best, marked
from tfrec.retrieval.reranking import Reranker
from tfrec.serving.warmup import WARMUP_FILE

IDS, SCORES = "ids", "scores"
K, EXCLUDE = "k", "exclude"
LEFT = "left"
RECOMMEND, FILTERED, DEFAULT = "recommend", "recommend_filtered", "serving_default"
_OWN = (EMBED_QUERY, SCORE_CATALOGUE, RANK)


def export_bundle(
    model: Path,
    index: Path,
    item_ids: Sequence[str],
    default_k: int,
    output: Path,
    item_filter: ItemFilter | None = None,
    reranker: Reranker | None = None,
) -> None:
    """Writes a SavedModel with the signatures of a retrieval bundle.

    All take the raw features of roles user and context as `raw_inputs` describes them: strings,
    lists of strings filled up with empty ones, numbers, and vectors.
      - `recommend` takes also `k`, int32, and `exclude`, strings `[batch, n]`: item ids never to
        return, filled up with empty strings. It returns `ids`, strings `[batch, k]`, and `scores`,
        float32 `[batch, k]`, best first; an empty id stands behind the last item that is left.
      - `recommend_filtered`, where there is a filter, takes besides what `ItemFilter.inputs` says
        and `new_items`, int32: how many of the items are to be new. It also returns `left`, int32
        `[batch]`: how many items of the catalogue passed.
      - `serving_default` is `recommend` with `k = default_k` and nothing excluded.
      - `embed_query` and `rank` are the model's own, where it has them.

    Args:
      model: SavedModel of a trained model.
      index: SavedModel of its index.
      item_ids: the items' ids by row.
      default_k: items that `serving_default` returns; fewer where the catalogue is smaller.
      output: directory to write.
      item_filter: what requests can filter by.
      reranker: makes lists of what the index finds; by default they are what it finds.
    """
    module = tf.Module()
    module.filter, module.reranker = item_filter, reranker
    module.model, module.index = tf.saved_model.load(str(model)), tf.saved_model.load(str(index))
    module.ids = tf.Variable(np.asarray(item_ids, dtype=object), trainable=False, dtype=tf.string)
    module.rows = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant(np.asarray(item_ids, dtype=object)),
            tf.range(len(item_ids), dtype=tf.int64),
        ),
        default_value=NO_ITEM,
    )
    own = {name: module.model.signatures[name] for name in _OWN if name in module.model.signatures}
    ask = own.get(EMBED_QUERY) or own[SCORE_CATALOGUE]
    features = ask.structured_input_signature[1]

    def asked(inputs: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The queries, `k`, and the rows of excluded items."""
        raw = dict(inputs)
        k, exclude = raw.pop(K), module.rows.lookup(raw.pop(EXCLUDE))
        check = tf.debugging.Assert((k >= 1) & (k <= len(item_ids)), [_refusal(k, len(item_ids))])
        with tf.control_dependencies([check]):
            (queries,) = ask(**raw).values()
        return queries, k, exclude

    def answer(rows: tf.Tensor, scores: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = tf.where(rows == NO_ITEM, "", tf.gather(module.ids, tf.maximum(rows, 0)))
        return {IDS: ids, SCORES: scores}

    def listed(
        search: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
        inputs: Mapping[str, tf.Tensor],
        k: tf.Tensor,
        exclude: tf.Tensor,
        allowed: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Searches for as many items as lists of `k` take, and makes the lists."""
        if reranker is None:
            return search(k)
        history = module.rows.lookup(inputs[reranker.history]) if reranker.history else None
        found = search(reranker.fetch(k))
        return reranker(*found, k, history=history, exclude=exclude, allowed=allowed)

    def recommend(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        queries, k, exclude = asked(inputs)
        return answer(
            *listed(lambda n: module.index.search(queries, n, exclude), inputs, k, exclude)
        )

    def recommend_filtered(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        assert item_filter is not None
        raw = dict(inputs)
        new_items = raw.pop(NEW_ITEMS)
        conditions = {name: raw.pop(name) for name in item_filter.inputs()}
        queries, k, exclude = asked(raw)
        allowed = item_filter.allowed(conditions, tf.shape(queries)[0])
        allowed &= ~marked(exclude, len(item_ids))

        def search(n: tf.Tensor, among: tf.Tensor = allowed) -> tuple[tf.Tensor, tf.Tensor]:
            return module.index.search_allowed(queries, n, among)

        def mixed() -> tuple[tf.Tensor, tf.Tensor]:
            new = search(tf.minimum(new_items, k), allowed & item_filter.new)
            rows, scores = with_new(*found, *new)
            return (rows, scores) if reranker else best(rows, scores, k)

        found = listed(search, raw, k, exclude, allowed)
        rows, scores = tf.cond(new_items > 0, mixed, lambda: found)
        left = tf.math.count_nonzero(allowed, 1, dtype=tf.int32)
        return {**answer(rows, scores), LEFT: left}

    def recommend_by_default(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        batch = tf.shape(next(iter(inputs.values())))[0]
        nothing = tf.fill([batch, 0], "")
        return recommend(
            {**inputs, K: tf.constant(min(default_k, len(item_ids))), EXCLUDE: nothing}
        )

    choices = {
        K: tf.TensorSpec([], tf.int32, K),
        EXCLUDE: tf.TensorSpec([None, None], tf.string, EXCLUDE),
    }
    signatures = {
        DEFAULT: tf.function(recommend_by_default, input_signature=[features]),
        RECOMMEND: tf.function(recommend, input_signature=[{**features, **choices}]),
    }
    if item_filter is not None:
        choices |= {NEW_ITEMS: tf.TensorSpec([], tf.int32, NEW_ITEMS), **item_filter.inputs()}
        signatures[FILTERED] = tf.function(
            recommend_filtered, input_signature=[{**features, **choices}]
        )
    tf.saved_model.save(
        module,
        str(output),
        signatures={**signatures, **own},
        options=tf.saved_model.SaveOptions(namespace_whitelist=["Scann"]),
    )


def write_warmup(bundle: Path, model_name: str, requests: Sequence[Mapping[str, Any]]) -> None:
    """Ships requests that a server runs before a version takes any other.

    Args:
      bundle: a SavedModel that `export_bundle` wrote.
      model_name: the model's name on the server.
      requests: inputs of `recommend`, at most 1000.
    """
    path = bundle / WARMUP_FILE
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as file:
        for inputs in requests:
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(name=model_name, signature_name=RECOMMEND),
                inputs={name: tf.make_tensor_proto(value) for name, value in inputs.items()},
            )
            log = prediction_log_pb2.PredictLog(request=request)
            file.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


def _refusal(k: tf.Tensor, items: int) -> tf.Tensor:
    return tf.strings.format(
        "k: {} is not between 1 and " + f"{items}; ask for at least one item and no more than "
        "the catalogue holds",
        k,
    )
