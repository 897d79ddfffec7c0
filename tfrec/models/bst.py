"""BST: a transformer over a shopper's history and the item that is ranked."""

from typing import Annotated

import tensorflow as tf
import tf_keras
from pydantic import Field

from tfrec.embeddings.features import Pool
from tfrec.errors import UserError
from tfrec.layers import EncoderBlock, Joined, RecentPositions
from tfrec.models.dnn import DNN
from tfrec.models.feature_widths import table_widths
from tfrec.models.target_history import target_histories, unpooled


class BST(DNN):
    """Ranks by a network over all features and the encoded history with the item at its end.

        s = encoder([h_1 + p_n, ..., h_n + p_1, t + p_0])
        output = w . network([s_1, ..., s_n, s_{n+1}, other features]) + b

    A history has as many places as its feature's `last`; those that are empty give zeros. A place's
    `p` is learned by how many values come after it, in the place of the paper's seconds that lie
    between. The encoder takes heads of the width of the feature's embedding over `heads`.

    Source: Chen et al., Behavior Sequence Transformer for E-commerce Recommendation in Alibaba,
    DLP-KDD 2019.
    """

    class Settings(DNN.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          blocks: transformer blocks behind each other; one is best in the paper.
          heads: of their attention; the embedding must be a multiple.
        """

        blocks: Annotated[int, Field(gt=0)] = 1
        heads: Annotated[int, Field(gt=0)] = 2

    settings: Settings

    def pools(self) -> dict[str, Pool]:
        """Leaves the histories to `interaction`."""
        return dict.fromkeys(target_histories(self.spec, type(self).__name__), unpooled)

    def encoder(self, name: str) -> tf_keras.layers.Layer:
        """Makes what a history and its target go through.

        Args:
          name: of the sequence feature.

        Returns:
          A layer from ragged `[batch, values, dim]` and `[batch, dim]` to `[batch, any]`.

        Raises:
          UserError: if heads do not divide the embedding.
        """
        width, heads = table_widths(self.spec)[name], self.settings.heads
        if width % heads:
            of = self.spec.sequences[name].of
            raise UserError(
                f"model.heads: {heads} do not divide the {width} floats of {of}; "
                "change one of the two"
            )
        blocks = [
            EncoderBlock(width, heads, self.settings.dropout) for _ in range(self.settings.blocks)
        ]
        return _Encoder(self.spec.sequences[name].last, blocks)

    def interaction(self) -> tf_keras.layers.Layer:
        """Encodes the histories, and passes all features through `network`."""
        histories = target_histories(self.spec, type(self).__name__)
        encoders = {name: self.encoder(name) for name in histories}
        return _Encoded(histories, encoders, self.network())


class _Encoder(tf_keras.layers.Layer):
    """A history of at most `last` values, with the target behind it, through transformer blocks."""

    def __init__(self, last: int, blocks: list[EncoderBlock]) -> None:
        super().__init__()
        self._last, self._blocks = last, blocks
        self._positions = RecentPositions(last + 1)

    def call(
        self, history: tf.RaggedTensor, target: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        lists = tf.concat([history[:, -self._last :], target[:, tf.newaxis]], 1)
        lengths = lists.row_lengths()
        values = lists.to_tensor(shape=[None, self._last + 1, target.shape[-1]])
        there = tf.sequence_mask(lengths, self._last + 1)  # [batch, last + 1]
        values = self._positions(values, lengths)
        for block in self._blocks:
            values = block(values, there, training=training)
        # Read from the end, so that a place of the network always means the same.
        values = tf.where(there[:, :, tf.newaxis], values, tf.zeros_like(values))
        latest_first = tf.reverse_sequence(values, lengths, seq_axis=1, batch_axis=0)
        return tf.reshape(latest_first, [-1, (self._last + 1) * target.shape[-1]])


class _Encoded(tf_keras.layers.Layer):
    def __init__(
        self,
        histories: dict[str, str],
        encoders: dict[str, tf_keras.layers.Layer],
        network: tf_keras.Model,
    ) -> None:
        super().__init__()
        self._histories, self._encoders = histories, encoders
        self._network, self._joined = network, Joined()

    def call(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        encoded = {
            name: encoder(embedded[name], embedded[self._histories[name]], training=training)
            for name, encoder in self._encoders.items()
        }
        return self._network(self._joined({**embedded, **encoded}), training=training)
