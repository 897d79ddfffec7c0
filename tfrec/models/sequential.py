"""What templates have in common that read a shopper's history in its order."""

import abc
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import tensorflow as tf
import tf_keras
from pydantic import Field, model_validator

from tfrec.data.prepared import ExampleKind
from tfrec.embeddings.features import Features, Pool
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW
from tfrec.losses import binary_cross_entropy, full_softmax, gbce, replicas, sampled_softmax
from tfrec.models.base import ModelInputs, Template
from tfrec.models.batch_seed import batch_seed
from tfrec.models.retrieval import SAMPLING, RetrievalTemplate
from tfrec.models.table_width import with_table_width


class Sequential(RetrievalTemplate):
    """Predicts the next item of a history at every place of it.

        score(h_1 ... h_n, item) = encoder(E(h_1) ... E(h_n))_n . E(item)

    `E` is the item's row of the embedding table, the same on both sides. The encoder lets no place
    see a later one, so one Example trains `n` predictions at once: h_2 ... h_n and its own item.
    Examples of sequences (see `data.sequences`) have every event of a shopper once between them.
    All predictions of a batch weigh the same, multiplied by their Examples' weights. Outside of
    training an Example predicts its own item alone: items before it may have been trained on.

    Only the history and the item's id are used. A history of nothing gives a vector of zeros, and
    no loss; `unknown_share` hides nothing here. Rows that stand for unknown items are negatives as
    any other row, so that what was never seen is not taken for likely.

    A subclass overrides `encoder`.

    Attributes:
      sequence: the sequence feature that is read.
      item: the feature of role item that it is a sequence of.
    """

    class Settings(RetrievalTemplate.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          history: the sequence feature to read; it may be left out where there is but one.
          examples: `sequences` predicts every item of a history from those before it; `events`
            reads an Example of each event and predicts its item alone, which takes much longer and
            can weigh events by their time.
          blocks: of the encoder.
          heads: of each block's attention.
          dropout: share of activations dropped in training.
          loss: `bce` and `gbce` tell the next item from its negatives by log loss,
            `sampled_softmax` by softmax; `softmax` compares it with every row of the item's table.
          negatives: rows drawn for each prediction, each as likely as any other. The next item
            itself does not count among them.
          share_negatives: whether the predictions of an Example have their negatives in common:
            much faster with many of them.
          t: how much `gbce` calibrates, in [0, 1].
        """

        history: str | None = None
        examples: Literal["sequences", "events"] = "sequences"
        blocks: Annotated[int, Field(gt=0)] = 2
        heads: Annotated[int, Field(gt=0)] = 1
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
        loss: Literal["bce", "gbce", "sampled_softmax", "softmax"] = "bce"
        negatives: Annotated[int, Field(gt=0)] = 1
        share_negatives: bool = False
        t: Annotated[float, Field(ge=0, le=1)] = 0.75

        @model_validator(mode="after")
        def _negatives_are_drawn_from_the_table(self) -> "Sequential.Settings":
            self.refuse(*SAMPLING, why="negatives are drawn from the item's table, see negatives")
            return self

    settings: Settings

    def __init__(self, inputs: ModelInputs, settings: Settings) -> None:
        """Makes the table and the encoder.

        Raises:
          UserError: if there is no such history, or a width does not fit.
        """
        self._choose(inputs, settings)
        wide = with_table_width(inputs, [self.item], settings)
        if wide.embedding_dim % settings.heads:
            raise UserError(
                f"model.heads: {settings.heads} does not divide the {wide.embedding_dim} floats of "
                f"features.{self.item}.embedding; give a divisor"
            )
        super().__init__(inputs, wide)
        self._rows = inputs.tables[inputs.spec.table_of(self.item)].rows
        self._encoder = self.encoder()

    @abc.abstractmethod
    def encoder(self) -> tf_keras.layers.Layer:
        """Makes the network over histories.

        It is called with the items' vectors, `[batch, longest, dim]`, padded behind, and `lengths`,
        `[batch]` int64, and returns `[batch, longest, dim]`; no place may see a later one.
        """

    @classmethod
    def reads(cls, settings: Template.Settings) -> ExampleKind:
        """Examples of sequences, or of events."""
        assert isinstance(settings, Sequential.Settings)
        return settings.examples

    @classmethod
    def embedded(cls, spec: FeatureSpec, settings: Template.Settings) -> Sequence[str]:
        """A history and its item."""
        assert isinstance(settings, Sequential.Settings)
        histories = _histories_of_items(spec)
        chosen = [settings.history] if settings.history in histories else histories
        return [*chosen, *(spec.sequences[name].of for name in chosen)] or spec.inputs

    @property
    def places(self) -> int:
        """Length of the longest history."""
        return self.spec.sequences[self.sequence].last

    def pools(self) -> dict[str, Pool]:
        """Leaves the history a list."""
        return {self.sequence: lambda lists: lists}

    def query_vectors(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """What the encoder says at the last place of each history; zeros without one."""
        lists = embedded[self.sequence]
        lengths = lists.row_lengths()
        outputs = self._encode(_padded(lists), lengths, training)
        last = tf.gather(outputs, tf.maximum(lengths - 1, 0), batch_dims=1)
        return tf.where(lengths[:, tf.newaxis] > 0, last, 0.0)

    def item_vectors(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """The rows of the item's table."""
        return tf.cast(embedded[self.item], tf.float32)

    def embedded_query(self, features: Features) -> dict[str, tf.Tensor]:
        """Embeds histories; other features may be left out."""
        return self.embedding({self.sequence: features[self.sequence]})

    def embed_item(self, features: Features) -> tf.Tensor:
        """Maps items to `[batch, embedding_dim]`; features but the id may be left out."""
        return self.item_vectors(self.embedding({self.item: features[self.item]}))

    def example_losses(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """The sum over an Example's predictions, over the mean number of them; see the base class.

        The mean over the examples is so the mean over all predictions of the batch.
        """
        history, own = inputs[self.sequence], inputs[self.item]
        rows, lengths = _padded(history), history.row_lengths()
        drawn = self._candidates(rows, batch_seed(inputs[ITEM_ROW]))
        candidates = tf.concat([own, tf.reshape(drawn, [-1])], 0)
        # Nothing is hidden: a candidate is compared as what it is.
        embedded = self.embedding({self.sequence: history, self.item: candidates})
        own_vectors, vectors = tf.split(self.item_vectors(embedded), [tf.size(own), tf.size(drawn)])
        values = _padded(embedded[self.sequence])
        outputs = self._encode(values, lengths, training)
        places = tf.range(tf.shape(rows, tf.int64)[1])
        at_end = places == lengths[:, tf.newaxis] - 1  # [batch, longest]
        predicts = at_end
        if training and self.settings.examples == "sequences":
            predicts = places < lengths[:, tf.newaxis]
        following = tf.where(at_end, own[:, tf.newaxis], tf.roll(rows, -1, 1))
        if self.settings.loss == "softmax":
            losses = _among_all(outputs, vectors, following, predicts)
        else:
            targets = tf.where(
                at_end[..., tf.newaxis],
                own_vectors[:, tf.newaxis],
                tf.roll(tf.cast(values, tf.float32), -1, 1),
            )
            losses = self._against(outputs, targets, following, vectors, drawn)
        sums = tf.reduce_sum(tf.where(predicts, losses, 0.0), 1)
        predictions = replicas.total(tf.math.count_nonzero(predicts))
        per_example = tf.cast(predictions / replicas.total(tf.size(own, tf.int64)), tf.float32)
        return tf.math.divide_no_nan(sums, per_example)

    def _choose(self, inputs: ModelInputs, settings: Settings) -> None:
        """Finds the history and its item."""
        spec, wanted = inputs.spec, settings.history
        of_items = _histories_of_items(spec)
        if wanted is None and len(of_items) == 1:
            wanted = of_items[0]
        if wanted not in of_items:
            raise UserError(
                f"model.history: {wanted!r} names no sequence of a feature of role item; "
                f"those are {', '.join(of_items) or 'none: add one to features'}"
            )
        self.sequence, self.item = wanted, spec.sequences[wanted].of
        if inputs.tables[spec.table_of(self.item)].dynamic:
            raise UserError(
                f"features.{self.item}.lookup: dynamic rows cannot be drawn as negatives; "
                "take vocabulary or hash"
            )

    def _encode(self, values: tf.Tensor, lengths: tf.Tensor, training: bool) -> tf.Tensor:
        return tf.cast(self._encoder(values, lengths, training=training), tf.float32)

    def _candidates(self, rows: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """All rows of the item's table, or drawn ones: `[batch, longest or 1, negatives]`."""
        if self.settings.loss == "softmax":
            return tf.range(self._rows, dtype=tf.int64)
        batch, longest = tf.unstack(tf.shape(rows))
        places = 1 if self.settings.share_negatives else longest
        shape = [batch, places, self.settings.negatives]
        return tf.random.stateless_uniform(shape, seed, maxval=self._rows, dtype=tf.int64)

    def _against(
        self,
        outputs: tf.Tensor,
        targets: tf.Tensor,
        following: tf.Tensor,
        vectors: tf.Tensor,
        drawn: tf.Tensor,
    ) -> tf.Tensor:
        """The loss of each place against its negatives: `[batch, longest]`."""
        positive = tf.reduce_sum(outputs * targets, -1)
        vectors = tf.reshape(vectors, [*tf.unstack(tf.shape(drawn)), self.embedding_dim])
        if self.settings.share_negatives:
            scores = tf.matmul(outputs, vectors[:, 0], transpose_b=True)
        else:
            scores = tf.reduce_sum(outputs[:, :, tf.newaxis] * vectors, -1)
        hit = drawn == following[..., tf.newaxis]
        return self._loss()(positive, tf.where(hit, -float("inf"), scores))

    def _loss(self) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        if self.settings.loss == "gbce":
            return lambda positive, negatives: gbce(
                positive, negatives, self._rows, self.settings.t
            )
        return binary_cross_entropy if self.settings.loss == "bce" else sampled_softmax


def _padded(lists: tf.RaggedTensor) -> tf.Tensor:
    """Ragged `[batch, values, ...]` -> dense, with zeros behind and at least one place."""
    longest = tf.maximum(lists.bounding_shape(1), 1)
    rest = tf.shape(lists.flat_values, tf.int64)[1:]
    places = tf.stack([lists.value_rowids(), _within(lists)], 1)
    shape = tf.concat([[lists.nrows(), longest], rest], 0)
    padded = tf.scatter_nd(places, lists.flat_values, shape)
    return tf.ensure_shape(padded, [None, None, *lists.flat_values.shape[1:]])


def _within(lists: tf.RaggedTensor) -> tf.Tensor:
    """The place of each value in its list: `[values]` int64."""
    owners = lists.value_rowids()
    return tf.range(tf.size(owners, tf.int64)) - tf.gather(lists.row_starts(), owners)


def _among_all(
    outputs: tf.Tensor, vectors: tf.Tensor, following: tf.Tensor, predicts: tf.Tensor
) -> tf.Tensor:
    """Softmax over all rows, of the places that predict: `[batch, longest]`."""
    losses = full_softmax(
        tf.boolean_mask(outputs, predicts), vectors, tf.boolean_mask(following, predicts)
    )
    return tf.scatter_nd(tf.where(predicts), losses, tf.shape(predicts, tf.int64))


def _histories_of_items(spec: FeatureSpec) -> list[str]:
    return [name for name, f in spec.sequences.items() if spec[f.of].role == "item"]
