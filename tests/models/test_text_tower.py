import numpy as np
import pytest
import tensorflow as tf
from retrieval_toys import IDS, ITEMS, TABLES, Batch, batch_of, fit, inputs_of, make, scores

from tfrec.errors import UserError
from tfrec.features.plan import Table
from tfrec.models import TextTower

TEXT = {"kind": "text", "embedding": 8, "rows": 30}
CONTENT = {
    "words": {"role": "context", **TEXT},
    "title": {"role": "item", **TEXT},
    "sku": IDS["sku"],
}
INPUTS = inputs_of(CONTENT, {"words": Table(30, 8), "title": Table(30, 8), "sku": TABLES["sku"]})


def searches() -> Batch:
    """Queries of two words, one of which belongs to the product that is bought."""
    random = np.random.default_rng(0)
    item = random.integers(ITEMS, size=96)
    words = np.stack([item, 12 + random.integers(12, size=96)], axis=1)
    titles = tf.RaggedTensor.from_tensor(tf.constant(29 - item[:, None]), row_splits_dtype=tf.int64)
    texts = tf.RaggedTensor.from_tensor(tf.constant(words), row_splits_dtype=tf.int64)
    return {**batch_of(np.zeros(96, np.int64), item), "words": texts, "title": titles}


def test_it_finds_products_by_the_words_of_a_query() -> None:
    model, batch = make(TextTower, INPUTS, hidden=[16], embedding_dim=8), searches()

    losses = fit(model, batch, steps=80)

    assert losses[-1] < 0.5 * losses[0]
    _, first = np.unique(batch["sku"], return_index=True)
    catalogue = {name: tf.gather(batch[name], first) for name in ("sku", "title")}
    assert (scores(model, batch, catalogue).argmax(axis=1) == batch["sku"]).numpy().mean() > 0.95


def test_a_query_without_text_is_refused() -> None:
    with pytest.raises(UserError, match="no text of role user or context"):
        make(TextTower, inputs_of(IDS))
