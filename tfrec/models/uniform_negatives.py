"""Events beside items that were drawn for them."""

from collections.abc import Sequence

import tensorflow as tf

from tfrec.embeddings.features import Features
from tfrec.features.parsing import ITEM_ROW, LABEL, LIST, UNIFORM


def with_negatives(inputs: Features, query: Sequence[str], item: Sequence[str]) -> Features:
    """Puts drawn items behind each event, labelled 0, as if the shopper had passed them over.

    Args:
      inputs: parsed Examples of events, `[batch]`, and as many times more items behind `UNIFORM`.
      query: the features of the shopper and the moment.
      item: those of items.

    Returns:
      All features, `_item_row`, `_label` and `_list`, the number of the event, each
      `[batch * (1 + items for an event)]`, those of an event side by side.
    """
    batch = tf.size(inputs[ITEM_ROW])
    each = tf.size(inputs[UNIFORM + ITEM_ROW]) // batch
    events = tf.range(batch)
    owners = tf.repeat(events, 1 + each)
    drawn = batch + tf.reshape(tf.range(batch * each), [batch, each])
    places = tf.reshape(tf.concat([events[:, tf.newaxis], drawn], 1), [-1])
    return {
        **{name: tf.gather(inputs[name], owners) for name in query},
        **{
            name: tf.gather(tf.concat([inputs[name], inputs[UNIFORM + name]], 0), places)
            for name in (*item, ITEM_ROW)
        },
        LABEL: tf.cast(places < batch, tf.int64),
        LIST: owners,
    }
