"""Neural matrix factorisation."""

import tensorflow as tf
import tf_keras

from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.spec import Role
from tfrec.layers import Joined
from tfrec.models.base import ModelInputs
from tfrec.models.dnn import DNN


class NeuMF(DNN):
    """Ranks by the product of two ids' vectors beside a network over them.

        output = w . [p_u * q_i, network([p'_u, q'_i, all other features])] + b

    `p` and `p'` are two embeddings of one shopper, `q` and `q'` of one item. Here they are the two
    halves of one row: an `embedding` of 32 gives each part 16. Other features join the network, as
    the paper suggests for what is known of shoppers and items.

    Source: He et al., Neural Collaborative Filtering, WWW 2017.
    """

    class Settings(DNN.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          user: categorical feature that is the shopper's id.
          item: categorical feature that is the item's id.
        """

        user: str
        item: str

    settings: Settings

    def __init__(self, inputs: ModelInputs, settings: Settings) -> None:
        """Makes the tables and the networks.

        Raises:
          UserError: if `user` or `item` is no such feature, or their rows cannot be halved alike.
        """
        _check_ids(inputs.spec, settings)
        super().__init__(inputs, settings)

    def interaction(self) -> tf_keras.layers.Layer:
        """Multiplies the first halves, and passes the rest through `network`."""
        return _Halves(self.settings.user, self.settings.item, self.network())


class _Halves(tf_keras.layers.Layer):
    def __init__(self, user: str, item: str, network: tf_keras.Model) -> None:
        super().__init__()
        self._ids, self._network, self._joined = (user, item), network, Joined()

    def call(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        halves = {name: tf.split(embedded[name], 2, -1) for name in self._ids}
        product = tf.multiply(*(halves[name][0] for name in self._ids))
        rest = {**embedded, **{name: halves[name][1] for name in self._ids}}
        return tf.concat([product, self._network(self._joined(rest), training=training)], -1)


def _check_ids(spec: FeatureSpec, settings: NeuMF.Settings) -> None:
    sides: dict[Role, str] = {"user": settings.user, "item": settings.item}
    for role, name in sides.items():
        known = [n for n in spec.of_role(role) if n in spec.categories]
        if name not in known:
            raise UserError(
                f"model.{role}: {name!r} is no categorical feature of role {role}; "
                f"those are {', '.join(known) or 'none'}"
            )
    user, item = (
        spec.categories[spec.table_of(name)].embedding for name in (settings.user, settings.item)
    )
    if user != item or not user or user % 2:
        raise UserError(
            f"model.template: NeuMF halves rows, and {settings.user} has {user} floats and "
            f"{settings.item} has {item}; give both the same even embedding"
        )
