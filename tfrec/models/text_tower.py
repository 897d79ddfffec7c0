"""Two towers for queries in natural language."""

from typing import Annotated

import tf_keras
from pydantic import Field

from tfrec.errors import UserError
from tfrec.layers import mlp
from tfrec.models.base import ModelInputs
from tfrec.models.two_tower import TwoTower


class TextTower(TwoTower):
    """Finds products for what a shopper writes, by the cosine of two learned vectors.

    It is a `TwoTower` whose towers are networks, and that insists on text: a feature of kind text
    (a bag of hashed n-grams) and role user or context is the query. On the other side are the
    item's features, its own text among them. Query and item text have a table each, since shoppers
    and catalogues use words differently; the towers bring them together.

    Source: Huang et al., Learning Deep Structured Semantic Models for Web Search using Clickthrough
    Data, CIKM 2013, with word n-grams in the place of letter trigrams, and the batch's items as
    negatives.
    """

    class Settings(TwoTower.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          hidden: units of the hidden layers of both towers.
          dropout: share of hidden activations dropped in training.
        """

        hidden: tuple[Annotated[int, Field(gt=0)], ...] = (128,)
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    settings: Settings

    def __init__(self, inputs: ModelInputs, settings: Settings) -> None:
        """Makes the tables and the towers.

        Raises:
          UserError: if no feature of the query is text.
        """
        query = inputs.spec.of_role("user", "context")
        if not any(inputs.spec[name].kind == "text" for name in query):
            raise UserError(
                "features: no text of role user or context, which TextTower searches by; add one, "
                "e.g. words: {role: context, kind: text, embedding: 64, rows: 100000}"
            )
        super().__init__(inputs, settings)

    def query_tower(self) -> tf_keras.Model:
        """Makes the network from the query's embedded features to `[batch, embedding_dim]`."""
        return self._tower()

    def item_tower(self) -> tf_keras.Model:
        """Makes the network from the item's embedded features to `[batch, embedding_dim]`."""
        return self._tower()

    def _tower(self) -> tf_keras.Model:
        made = self.settings
        return mlp(made.hidden, output_dim=self.embedding_dim, dropout=made.dropout)
