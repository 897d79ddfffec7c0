"""Matrix factorisation by gradient descent."""

from typing import Annotated, Literal

import numpy as np
import tensorflow as tf
from pydantic import Field, model_validator

from tfrec.embeddings.features import Features
from tfrec.errors import UserError
from tfrec.features import Categorical, FeatureSpec
from tfrec.features.spec import Role
from tfrec.losses import bpr, hard_negatives
from tfrec.models.base import ModelInputs, Template, select
from tfrec.models.batch_seed import batch_seed
from tfrec.models.retrieval import SAMPLING, RetrievalTemplate
from tfrec.models.table_width import with_table_width


class MatrixFactorization(RetrievalTemplate):
    """Scores an item for a shopper by the dot product of two vectors that no network has touched.

        score(query, item) = u . v

    `u` is the sum of the embeddings of the query's features and `v` that of the item's: with an id
    on each side, the factors of a matrix. All embeddings are of one width. With `item_bias`, the
    last float of `v` is the item's bias, for which that of `u` is held at 1.

    `softmax`: cross-entropy of the query's item among those of the batch, corrected for how often
    each is there.

    `bpr`: -log sigmoid(u . v - u . v') for items v' drawn for each query from the distinct other
    ones of the batch, `uniform_negatives` among them, or, with `hard`, the highest-scored of those.

    `squared`: with the feature `label` as r, exactly

        min sum over examples (r - u . v)^2 + regularisation (sum over users |u|^2
                                                              + sum over items |v|^2)

    A user's |u|^2 is once in that sum and the user in n_u examples, so each example carries its
    n_u-th part and no step needs more than the rows of its batch:

        loss of an example = (r - u . v)^2 + regularisation (|u|^2 / n_u + |v|^2 / n_v)

    Training descends the mean over the examples, which has the same minimum.

    Subclass it and override `query_vectors` or `item_vectors` to make vectors in another way.

    Sources: Koren, Bell and Volinsky, Matrix Factorization Techniques for Recommender Systems,
    IEEE Computer 2009; Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback,
    UAI 2009.
    """

    class Settings(RetrievalTemplate.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          loss: what is made small.
          label: feature of role label that `squared` predicts, such as a rating.
          regularisation: lambda of `squared`. It takes one categorical feature on each side; other
            losses have the tables' `weight_decay`.
          item_bias: whether the last float of an item's vector is a bias.
          negatives: items that `bpr` compares each query's own with.
          hard: whether they are the highest-scored ones and not drawn.
        """

        loss: Literal["softmax", "bpr", "squared"] = "softmax"
        label: str | None = None
        regularisation: Annotated[float, Field(ge=0)] = 0.0
        item_bias: bool = False
        negatives: Annotated[int, Field(gt=0)] = 1
        hard: bool = False

        @model_validator(mode="after")
        def _loss_has_what_it_needs(self) -> "MatrixFactorization.Settings":
            if (self.loss == "squared") != (self.label is not None):
                raise ValueError("loss squared needs a label, e.g. label: rating; no other has one")
            if self.loss == "squared":
                self.refuse(*SAMPLING, why="loss squared has no negatives")
            if self.loss == "bpr":
                self.refuse("hard_negatives", why="loss bpr has negatives, and hard: true")
                self.refuse("item_frequency", why="loss bpr corrects nothing by it")
            if self.regularisation and self.loss != "squared":
                raise ValueError(
                    f"loss {self.loss} takes no regularisation; "
                    "set training.optimizers.tables.weight_decay"
                )
            return self

    settings: Settings

    def __init__(self, inputs: ModelInputs, settings: Settings) -> None:
        """Makes the tables.

        Raises:
          UserError: if widths differ, or a label or counts are missing.
        """
        names = [*inputs.spec.of_role("user", "context"), *inputs.spec.of_role("item")]
        super().__init__(inputs, with_table_width(inputs, names, settings))
        labels = inputs.spec.of_role("label")
        if settings.label is not None and settings.label not in labels:
            raise UserError(
                f"model.label: {settings.label!r} is no feature of role label; "
                f"those are {', '.join(labels) or 'none'}"
            )
        counted = self.counted(inputs.spec, settings)
        self._counts = {
            name: tf.Variable(inputs.row_counts[name].astype(np.float32), trainable=False)
            for name in counted
        }

    @classmethod
    def counted(cls, spec: FeatureSpec, settings: Template.Settings) -> tuple[str, ...]:
        """The two ids, if there is a penalty to share among their examples."""
        if not getattr(settings, "regularisation", 0):
            return ()
        return _only_id(spec, "user", "context"), _only_id(spec, "item")

    def query_vectors(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """The sum of the query's embeddings."""
        vectors = _sum([embedded[name] for name in self.query_features])
        if not self.settings.item_bias:
            return vectors
        return tf.concat([vectors[:, :-1], tf.ones_like(vectors[:, -1:])], -1)

    @property
    def is_linear(self) -> bool:
        """See the base class; a subclass may make vectors in another way."""
        own, pools = type(self).query_vectors, type(self).pools
        return own is MatrixFactorization.query_vectors and pools is Template.pools

    def item_vectors(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """The sum of the items' embeddings."""
        return _sum([embedded[name] for name in self.item_features])

    def example_losses(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """The loss that the settings name, of each example; see the base class."""
        if self.settings.loss == "squared":
            return self._squared(inputs, training)
        return super().example_losses(inputs, training)

    def softmax_losses(
        self,
        queries: tf.Tensor,
        items: tf.Tensor,
        rows: tf.Tensor,
        positives: tf.Tensor,
        uniform_draws: tf.Tensor | int = 0,
        training: bool = False,
    ) -> tf.Tensor:
        """Softmax, or BPR against items of this replica's batch; see the base class."""
        if self.settings.loss == "softmax":
            return super().softmax_losses(queries, items, rows, positives, uniform_draws, training)
        if self.settings.hard:
            scores = tf.matmul(queries, items, transpose_b=True)
            return bpr(*hard_negatives(scores, positives, self.settings.negatives))
        others = tf.size(rows) - 1
        seed = batch_seed(tf.gather(rows, positives))
        shape = [tf.size(positives), self.settings.negatives]
        drawn = tf.random.stateless_uniform(
            shape, seed, maxval=tf.maximum(others, 1), dtype=tf.int32
        )
        own = tf.cast(positives, tf.int32)
        drawn += tf.cast(drawn >= own[:, tf.newaxis], tf.int32)  # Passes over the query's own.
        vectors = tf.gather(items, tf.minimum(drawn, others))  # [batch, negatives, dim]
        scores = tf.reduce_sum(queries[:, tf.newaxis] * vectors, -1)
        positive = tf.reduce_sum(queries * tf.gather(items, own), -1)
        return bpr(positive, tf.where(others > 0, scores, -float("inf")))

    def _squared(self, inputs: Features, training: bool) -> tf.Tensor:
        assert self.settings.label is not None  # the settings have checked it
        wanted = select(inputs, [*self.query_features, *self.item_features])
        embedded = self.embedding(wanted, training=training)
        queries = self.query_vectors(embedded, training)
        items = self.item_vectors(embedded, training)
        errors = tf.cast(inputs[self.settings.label], tf.float32) - tf.reduce_sum(
            queries * items, -1
        )
        penalties = [
            tf.reduce_sum(tf.square(tf.cast(embedded[name], tf.float32)), -1)
            / tf.maximum(tf.nn.embedding_lookup(counts, inputs[name]), 1.0)
            for name, counts in self._counts.items()
        ]
        return tf.add_n([tf.square(errors), *(self.settings.regularisation * p for p in penalties)])


def _only_id(spec: FeatureSpec, *roles: Role) -> str:
    """The one feature that the factors of a side are."""
    names = spec.of_role(*roles)
    if len(names) > 1 or not isinstance(spec[names[0]], Categorical):
        raise UserError(
            f"model.regularisation: it takes one categorical feature of role {' or '.join(roles)}, "
            f"the id, and there are {', '.join(names)}; leave out the others, or regularisation"
        )
    table = spec[spec.table_of(names[0])]
    if isinstance(table, Categorical) and table.lookup == "dynamic":
        raise UserError(
            f"features.{names[0]}.lookup: rows that are given out in training cannot be counted "
            "before it, which model.regularisation needs; take vocabulary or hash"
        )
    return names[0]


def _sum(vectors: list[tf.Tensor]) -> tf.Tensor:
    return tf.add_n([tf.cast(one, tf.float32) for one in vectors])
