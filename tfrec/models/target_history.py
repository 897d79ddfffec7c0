"""Which of a shopper's histories can be compared with the item that is ranked."""

import tensorflow as tf

from tfrec.errors import UserError
from tfrec.features import FeatureSpec


def target_histories(spec: FeatureSpec, template: str) -> dict[str, str]:
    """Sequences of an item's feature -> that feature; both have one table.

    Args:
      spec: the features.
      template: what needs one, for the message.

    Raises:
      UserError: if there is none.
    """
    items = spec.of_role("item")
    found = {name: feature.of for name, feature in spec.sequences.items() if feature.of in items}
    if not found:
        raise UserError(
            f"model.template: {template} compares the item with a shopper's history, and there is "
            "none; add a feature of kind sequence, of an item's categorical feature"
        )
    return found


def unpooled(lists: tf.RaggedTensor) -> tf.RaggedTensor:
    """Leaves lists as they are, for a network that pools them together with something else."""
    return lists
