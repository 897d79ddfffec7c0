import numpy as np
import pytest
import tensorflow as tf
from toy_ranker import make_batch, make_ranker

from tfrec.features.parsing import ITEM_ROW, LABEL, LIST, UNIFORM
from tfrec.models.dnn import DNN
from tfrec.models.uniform_negatives import with_negatives

SHOPPERS, ITEMS, DRAWN = ["ann", "bob", "cid"], [7, 8, 9], [1, 2, 3, 4, 5, 6]
TAGS = tf.ragged.constant([["a"], [], ["b", "c"]])
DRAWN_TAGS = tf.ragged.constant([[], ["d"], [], ["e", "f"], ["g"], []])


@pytest.fixture
def rows() -> dict[str, tf.Tensor]:
    inputs = {
        "shopper": tf.constant(SHOPPERS),
        "recent": TAGS,
        ITEM_ROW: tf.constant(ITEMS, tf.int64),
        "sku": tf.constant(ITEMS, tf.int64) * 10,
        "tags": TAGS,
        UNIFORM + ITEM_ROW: tf.constant(DRAWN, tf.int64),
        UNIFORM + "sku": tf.constant(DRAWN, tf.int64) * 10,
        UNIFORM + "tags": DRAWN_TAGS,
    }
    return with_negatives(inputs, ["shopper", "recent"], ["sku", "tags"])


def test_each_event_is_followed_by_its_own_drawn_items(rows: dict[str, tf.Tensor]) -> None:
    expected = [7, 1, 2, 8, 3, 4, 9, 5, 6]

    assert rows[ITEM_ROW].numpy().tolist() == expected
    assert rows["sku"].numpy().tolist() == [10 * row for row in expected]
    drawn = DRAWN_TAGS.to_list()
    tags = [[TAGS.to_list()[event], *drawn[2 * event : 2 * event + 2]] for event in range(3)]
    assert rows["tags"].to_list() == [one for event in tags for one in event]


def test_the_shopper_is_that_of_the_event(rows: dict[str, tf.Tensor]) -> None:
    shoppers = rows["shopper"].numpy().astype(str)

    assert shoppers.tolist() == np.repeat(SHOPPERS, 3).tolist()
    assert rows["recent"].to_list() == [tags for tags in TAGS.to_list() for _ in range(3)]


def test_only_the_event_is_labelled_taken_and_the_list_is_the_event(
    rows: dict[str, tf.Tensor],
) -> None:
    assert rows[LABEL].numpy().tolist() == [1, 0, 0] * 3
    assert rows[LIST].numpy().tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_a_ranker_with_uniform_negatives_learns_from_events() -> None:
    settings = DNN.Settings(uniform_negatives=3)

    assert DNN.reads(settings) == "events"
    assert DNN.reads(DNN.Settings(uniform_negatives=3, loss="list_net")) == "events"
    assert DNN.uniform_items(settings, 20) == 60
    assert DNN.uniform_items(DNN.Settings(), 20) == 0
    assert make_ranker(DNN, uniform_negatives=3).measured == {}


@pytest.mark.parametrize("loss", ["cross_entropy", "list_net"])
def test_loss_of_an_event_is_that_of_its_rows_as_labelled_examples(loss: str) -> None:
    model = make_ranker(DNN, loss=loss, uniform_negatives=2)
    events, drawn = make_batch(8, seed=1), make_batch(16, seed=2)
    beside = {UNIFORM + name: drawn[name] for name in (*model.item_features, ITEM_ROW)}

    found = model.example_losses({**events, **beside}).numpy()

    lists = np.r_[np.arange(8), np.repeat(np.arange(8), 2)]
    order = np.argsort(lists, kind="stable")
    labels = (np.arange(24) < 8)[order]
    labelled: dict[str, tf.Tensor] = {}
    for name, column in events.items():
        others = drawn[name] if name in model.item_features else tf.gather(column, lists[8:])
        labelled[name] = tf.gather(tf.concat([column, others], 0), order)
    labelled |= {LABEL: tf.constant(labels, tf.int64), LIST: tf.constant(lists[order])}
    plain = make_ranker(DNN, loss=loss).example_losses(labelled).numpy()
    np.testing.assert_allclose(found, np.bincount(lists[order], plain), rtol=1e-5)
