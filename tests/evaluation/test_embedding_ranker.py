from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tfrec.data.query_set import QuerySet
from tfrec.evaluation.embedding_ranker import EmbeddingRanker

ITEMS = np.array([[1, 0], [0, 1], [2, 2]], np.float32)


class CountsItems(tf.Module):
    """Embeds a shopper as the numbers of items in the history and of letters in the channel."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, "channel"),
            tf.TensorSpec([None, None], tf.string, "recent"),
        ]
    )
    def embed_query(self, channel: tf.Tensor, recent: tf.Tensor) -> dict[str, tf.Tensor]:
        items = tf.math.count_nonzero(recent != "", axis=1, dtype=tf.float32)
        letters = tf.cast(tf.strings.length(channel), tf.float32)
        return {"embedding": tf.stack([items, letters], axis=1)}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tf.Module:
    path = str(tmp_path_factory.mktemp("model"))
    module = CountsItems()
    tf.saved_model.save(module, path, signatures={"embed_query": module.embed_query})
    return tf.saved_model.load(path)


def test_items_are_scored_by_the_dot_product_with_the_embedded_query(
    model: tf.Module, make_queries: Callable[..., QuerySet]
) -> None:
    queries = make_queries(
        relevant=[[0], [1]],
        seen=[[], []],
        unused=["x", "y"],
        recent=[["a", "b"], []],
        channel=["web", None],
    )
    ranker = EmbeddingRanker(model, ITEMS)

    assert ranker.embed(queries).tolist() == [[2, 3], [0, 0]]
    assert ranker.scores(queries).tolist() == [[2, 3, 10], [0, 0, 0]]
