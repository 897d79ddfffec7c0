"""The losses by which rankers learn whether an item is taken."""

from typing import Literal

import tensorflow as tf

from tfrec.embeddings.features import Features
from tfrec.features.parsing import ITEM_ROW, LIST
from tfrec.losses import calibrated_ranking, focal, lambda_rank, list_mle, list_net
from tfrec.models.batch_seed import batch_seed

LabelLoss = Literal["cross_entropy", "focal", "list_net", "list_mle", "lambda_rank", "calibrated"]
LISTWISE = ("list_net", "list_mle", "lambda_rank", "calibrated")
"""Those that compare the items of a list, and so read Examples in lists."""

_TAKEN = 5.0
"""What `list_net` takes for the label of a taken item, on the scale of scores."""


def label_losses(
    loss: LabelLoss, labels: tf.Tensor, outputs: tf.Tensor, inputs: Features
) -> tf.Tensor:
    """The loss of each example.

    That of a list is shared out evenly among its examples. A list whose labels are all equal has
    no order, and costs nothing, except with `calibrated`.

    Args:
      loss: which one; the formulas are those of `tfrec.losses`.
      labels: `[batch]` float32, 0 or 1.
      outputs: `[batch]` float32 logits.
      inputs: the parsed Examples, with `_list` where losses compare the items of lists.

    Returns:
      `[batch]` float32.
    """
    if loss == "cross_entropy":
        return tf.nn.sigmoid_cross_entropy_with_logits(labels, outputs)
    if loss == "focal":
        return focal(outputs, labels)
    _, lists = tf.unique(inputs[LIST])  # from 0 on, in a part of a batch too
    by_list = tf.RaggedTensor.from_value_rowids(outputs, lists)
    lengths = by_list.row_lengths()
    scores, wanted = by_list.to_tensor(), by_list.with_values(labels).to_tensor()
    losses = _of_lists(loss, scores, wanted, tf.sequence_mask(lengths), inputs)
    return tf.gather(losses / tf.cast(lengths, tf.float32), lists)


def _of_lists(
    loss: LabelLoss, scores: tf.Tensor, labels: tf.Tensor, mask: tf.Tensor, inputs: Features
) -> tf.Tensor:
    """The loss of each list, `[lists]`, from `[lists, longest]`."""
    if loss == "calibrated":
        return calibrated_ranking(scores, labels, mask)
    if loss == "lambda_rank":
        return lambda_rank(scores, labels, mask)
    if loss == "list_net":
        losses = list_net(scores, _TAKEN * labels, mask)
    else:
        losses = list_mle(scores, labels, mask, batch_seed(inputs[ITEM_ROW]))
    taken = tf.where(mask, labels, 0.0)
    left = tf.where(mask, 1.0 - labels, 0.0)
    has_order = tf.reduce_any(taken > 0, 1) & tf.reduce_any(left > 0, 1)
    return tf.where(has_order, losses, 0.0)
