"""Attention of the places of a list to one another."""

import tf_keras

from tfrec.layers.dropout import Dropout


class SelfAttention(tf_keras.layers.MultiHeadAttention):
    """Keras' attention, with the dropout of its weights repeated by training that goes on.

        attention(x) = [dropout(softmax(q_h k_h^T / sqrt(size))) v_h for each head h] W

    Source: Vaswani et al., Attention Is All You Need, NeurIPS 2017.
    """

    def _build_attention(self, rank: int) -> None:
        """Is where Keras makes what a subclass may make otherwise."""
        super()._build_attention(rank)
        self._dropout_layer = Dropout(self._dropout)
