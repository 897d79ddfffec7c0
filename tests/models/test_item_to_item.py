import numpy as np
import tensorflow as tf
from retrieval_toys import IDS, ITEMS, TABLES, Batch, fit, inputs_of, make, scores

from tfrec.features.parsing import ITEM_ROW, TIME, WEIGHT
from tfrec.features.plan import Table
from tfrec.losses import in_batch_softmax
from tfrec.models import ItemToItem
from tfrec.models.item_to_item import SOURCE

TAGS = {"role": "item", "kind": "multi_categorical", "embedding": 8}
INPUTS = inputs_of({**IDS, "tags": TAGS}, {**TABLES, "tags": Table(ITEMS + 1, 8, 1)})


def items(rows: np.ndarray) -> Batch:
    """Items with a tag each, but for every third."""
    tags = tf.RaggedTensor.from_row_lengths(
        tf.constant(rows[rows % 3 > 0]), tf.constant((rows % 3 > 0).astype(np.int64))
    )
    return {"sku": tf.constant(rows), "tags": tags}


def pairs() -> Batch:
    """Each item leads to the next one and none leads back."""
    source = np.tile(np.arange(ITEMS), 3)
    target = (source + 1) % ITEMS
    starts = {SOURCE + name: column for name, column in items(source).items()}
    beside = {ITEM_ROW: tf.constant(target), TIME: tf.zeros([36], tf.int64), WEIGHT: tf.ones([36])}
    return {**starts, **items(target), **beside}


def test_it_learns_where_an_item_leads_and_not_back() -> None:
    model = make(ItemToItem, INPUTS, embedding_dim=8)

    losses = fit(model, pairs(), steps=80)

    assert losses[-1] < 0.5 * losses[0]
    catalogue = items(np.arange(ITEMS))
    found = scores(model, catalogue, catalogue)
    following = (np.arange(ITEMS) + 1) % ITEMS
    assert (found.argmax(axis=1) == following).all()
    assert (found[np.arange(ITEMS), following] > found[following, np.arange(ITEMS)]).all()


def test_queries_are_items() -> None:
    model = make(ItemToItem, INPUTS)

    assert model.query_features == model.item_features == ["sku", "tags"]
    assert model.embed_query(items(np.arange(2))).shape == (2, 64)


def test_loss_is_that_of_the_distinct_targets_of_the_batch() -> None:
    model, batch = make(ItemToItem, INPUTS), pairs()
    source = batch[SOURCE + "sku"].numpy()

    losses = model.example_losses(batch)

    catalogue = items(np.arange(ITEMS))
    expected = in_batch_softmax(
        tf.gather(model.embed_query(catalogue), source),
        model.embed_item(catalogue),
        batch[ITEM_ROW],
        tf.fill([ITEMS], 1 / ITEMS),
    )
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
