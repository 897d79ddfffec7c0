"""A trained model and its index as one SavedModel for TensorFlow Serving."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from tfrec.retrieval.filters import ItemFilter
from tfrec.retrieval.reranking import Reranker
from tfrec.serving.bundle import Bundle
from tfrec.serving.live_items import LiveItems
from tfrec.serving.ranker import Ranker
from tfrec.serving.warmup import WARMUP_FILE


def export_bundle(
    model: Path,
    index: Path,
    item_ids: Sequence[str],
    default_k: int,
    output: Path,
    item_filter: ItemFilter | None = None,
    reranker: Reranker | None = None,
    live: LiveItems | None = None,
    ranker: Ranker | None = None,
) -> dict[str, dict[str, tf.TensorSpec]]:
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
      - `measure_recall`, where the index is one of vectors, takes the features and `k`, and returns
        `recall`, float32 `[batch]`: the share of the exact first `k` items that a search finds, or
        others of the last one's score.
      - `embed_query`, `embed_item` and `rank` are the model's own, where it has them.
      - `explain` takes the features and `items`, strings `[batch, n]`, and returns what `answer` of
        `models.explanations` says of their scores, before `reranker`.

    Where there is a ranker, the lists hold the best of the index's candidates by its scores, and
    `scores` are these. `rank` takes then the ranker's query features and `items`, strings
    `[batch, n]`; it returns each task's prediction, float32 `[batch, n]`, NaN for an unknown id.

    Where items change, there are two more, with which `recommend` answers differently at once:
      - `put_items` takes `items`, strings `[n]`, their ids, and all other raw item features. It
        adds the items, or puts them in the place of those of the same ids, and returns `room`,
        int32: how many more changes fit.
      - `remove_items` takes `items` and returns `removed`, bool `[n]`: whether there were such.

    Args:
      model: SavedModel of a trained model.
      index: SavedModel of its index.
      item_ids: the items' ids by row.
      default_k: items that `serving_default` returns; fewer where the catalogue is smaller.
      output: directory to write.
      item_filter: what requests can filter by.
      reranker: makes lists of what the index finds; by default they are what it finds.
      live: how items change; by default they do not. `item_filter`, `reranker` and `ranker` must
        have been made with as many slots.
      ranker: orders what the index finds, before `reranker`; by default the index's scores do.

    Returns:
      What the signatures take by name, but for those of the model itself.
    """
    bundle = Bundle(
        tf.saved_model.load(str(model)),
        tf.saved_model.load(str(index)),
        item_ids,
        default_k,
        item_filter,
        reranker,
        live.feature if live else "",
        live.slots if live else 0,
        ranker,
    )
    tf.saved_model.save(
        bundle,
        str(output),
        signatures=bundle.signatures(),
        options=tf.saved_model.SaveOptions(namespace_whitelist=["Scann"]),
    )
    if live:
        live.write(output)
    return bundle.inputs()


def write_warmup(
    bundle: Path, model_name: str, requests: Sequence[tuple[str, Mapping[str, Any]]]
) -> None:
    """Ships requests that a server runs before a version takes any other.

    Args:
      bundle: a SavedModel that `export_bundle` wrote.
      model_name: the model's name on the server.
      requests: names of signatures and inputs, at most 1000.
    """
    path = bundle / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as file:
        for signature, inputs in requests:
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(name=model_name, signature_name=signature),
                inputs={name: tf.make_tensor_proto(value) for name, value in inputs.items()},
            )
            log = prediction_log_pb2.PredictLog(request=request)
            file.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())
