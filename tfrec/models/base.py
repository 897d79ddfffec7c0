"""What every template has: features, their embeddings, and a loss."""

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from tfrec.config import Section
from tfrec.data.prepared import ExampleKind, QueryKind
from tfrec.embeddings.features import FeatureEmbedding, Features, Pool
from tfrec.embeddings.groups import Group
from tfrec.embeddings.optimizers.config import OptimizerSettings
from tfrec.features import FeatureSpec
from tfrec.features.parsing import WEIGHT, parsing_spec
from tfrec.features.plan import Table
from tfrec.losses import replicas


@dataclass(frozen=True)
class ModelInputs:
    """What a template is told about the data.

    Attributes:
      spec: the features.
      tables: name -> embedding table; see `embedding_plan`.
      groups: the same tables in their groups; see `group_tables`.
      item_share: `[items]` float32, each item's share of the training examples, or of targets.
      row_counts: categorical feature -> `[rows of its table]`, each row's training examples; those
        that were counted.
    """

    spec: FeatureSpec
    tables: dict[str, Table]
    groups: tuple[Group, ...]
    item_share: np.ndarray
    row_counts: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class OwnTable:
    """A table of a template that is no feature's.

    Attributes:
      rows: all of them.
      dim: floats per row.
      optimizer: what moves the rows.
      lookups: rows that an Example asks for.
    """

    rows: int
    dim: int
    optimizer: OptimizerSettings
    lookups: int


class Template(tfrs.Model):
    """A model that learns from Examples: features, their embeddings, and a loss of each example.

    `RetrievalTemplate` and `RankingTemplate` are what to subclass.

    Attributes:
      spec: the features.
      settings: the template's own settings.
      query_features: names of the features of roles user and context.
      item_features: names of those of role item.
      embedding: features -> vectors.
      queries: what its queries are of; evaluation, index and warm-up ask it with such ones.
    """

    class Settings(Section):
        """The template's own keys of the `model` section."""

    queries: ClassVar[QueryKind] = "shoppers"

    def __init__(self, inputs: ModelInputs, settings: Settings) -> None:
        """Makes the tables."""
        super().__init__()
        self.spec, self.settings = inputs.spec, settings
        self.query_features = inputs.spec.of_role("user", "context")
        self.item_features = inputs.spec.of_role("item")
        own = (
            Group(name, table.dim, table.rows, {}, table.optimizer)
            for name, table in self.own_tables(settings).items()
        )
        groups = (*inputs.groups, *own)
        self.embedding = FeatureEmbedding(inputs.spec, inputs.tables, groups, self.pools())

    def pools(self) -> dict[str, Pool]:
        """Makes what pools the lists of a feature, such as attention, by the feature's name.

        Other features are pooled as their `pooling` says.
        """
        return {}

    @classmethod
    def labels(cls, settings: Settings) -> tuple[str, ...]:
        """Columns of labelled Examples (see `data.labels`) that it learns; none to learn events."""
        return ()

    @classmethod
    def reads(cls, settings: Settings) -> ExampleKind:
        """The Examples that it learns from."""
        return "labelled" if cls.labels(settings) else "events"

    @classmethod
    def uniform_items(cls, settings: Settings, batch_size: int) -> int:
        """Items of the catalogue that stand beside a batch, drawn uniformly; none by default."""
        return 0

    @classmethod
    def own_tables(cls, settings: Settings) -> dict[str, OwnTable]:
        """Tables that are no feature's, by the name of their group; none by default."""
        return {}

    @classmethod
    def embedded(cls, spec: FeatureSpec, settings: Settings) -> Sequence[str]:
        """The features that it embeds; the tables of others are not made. All by default."""
        return spec.inputs

    @classmethod
    def counted(cls, spec: FeatureSpec, settings: Settings) -> tuple[str, ...]:
        """Categorical features whose `ModelInputs.row_counts` it needs; none by default."""
        return ()

    @abc.abstractmethod
    def use(self, features: Features) -> object:
        """Passes transformed features of the query and of one item through all networks."""

    @abc.abstractmethod
    def example_losses(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """The loss of each example.

        Args:
          inputs: parsed Examples: all features, `_item_row` and what else comes with an Example,
            each `[batch]`.
          training: whether gradients are wanted.

        Returns:
          `[batch]` float32.
        """

    def make_variables(self) -> None:
        """Makes all variables now, by using one example of zeros and empty lists."""
        parsing = parsing_spec(self.spec, [*self.query_features, *self.item_features])
        self.use({name: _zeros(feature) for name, feature in parsing.items()})

    def compute_loss(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """The loss of a batch.

        Args:
          inputs: as `example_losses` takes them, and `_weight`, `[batch]`.
          training: whether gradients are wanted.

        Returns:
          This replica's share of the loss, a scalar: the shares of replicas in step add up to the
          weighted mean over the examples of them all.
        """
        weights = inputs[WEIGHT]
        whole = replicas.total(tf.reduce_sum(weights))
        return tf.math.divide_no_nan(
            tf.reduce_sum(self.example_losses(inputs, training) * weights), whole
        )

    # AutoGraph knows Keras by the name `keras` only, and would rewrite all of `tf_keras` on the way
    # through a step: half a minute before the first one.
    @tf.autograph.experimental.do_not_convert
    def train_step(self, inputs: Features) -> dict[str, tf.Tensor]:
        """Makes one step of training on a batch."""
        return super().train_step(inputs)


def select(features: Features, names: Sequence[str]) -> Features:
    """Takes some features of all."""
    return {name: features[name] for name in names}


def _zeros(parsing: Any) -> tf.Tensor | tf.RaggedTensor:
    """Makes a batch of one example of what `parsing_spec` describes."""
    if isinstance(parsing, tf.io.RaggedFeature):
        return tf.RaggedTensor.from_row_lengths(tf.zeros([0], parsing.dtype), [0])
    return tf.zeros([1, *parsing.shape], parsing.dtype)
