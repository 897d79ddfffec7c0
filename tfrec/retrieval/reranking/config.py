"""The `reranking` section of a config."""

from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tfrec.config import Section

Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(allow_inf_nan=False)]


class Boost(Section):
    """Raises or lowers scores.

    Attributes:
      feature: item feature whose values are named; without it, items are, by their ids.
      amounts: value or id -> what to add to the score; 1 is the way from the lowest candidate's
        score to the highest's.
    """

    kind: Literal["boost"]
    feature: str | None = None
    amounts: Annotated[Mapping[str, Amount], Field(min_length=1)]


class Cap(Section):
    """Leaves out all but the first items of each group; those of no group stay.

    Attributes:
      feature: item feature that is the same within a group.
      limit: items of a group to keep; 1 where a group is the variants of a product.
    """

    kind: Literal["cap"]
    feature: str
    limit: Count


class Mmr(Section):
    """Trades relevance for variety, by the model's item vectors.

    Attributes:
      trade_off: 1 for relevance alone, 0 for nothing but variety.
    """

    kind: Literal["mmr"]
    trade_off: Share = 0.5


class Calibrate(Section):
    """Mixes the values of a feature as in what the shopper chose before.

    Attributes:
      feature: item feature whose values are mixed.
      history: sequence feature of queries that holds the ids of what the shopper chose.
      strength: 0 for relevance alone, 1 for nothing but the mixture.
    """

    kind: Literal["calibrate"]
    feature: str
    history: str
    strength: Share = 0.5


Step = Boost | Cap | Mmr | Calibrate


class Rules(Section):
    """The `reranking` section.

    Attributes:
      candidates: items to take from the index for each one of the list.
      steps: what is done with the candidates, in this order.
      pinned: id of an item -> its place in every list, from 1 on, after all steps.
    """

    candidates: Count = 5
    steps: tuple[Annotated[Step, Field(discriminator="kind")], ...] = ()
    pinned: Mapping[str, Count] = Field(default_factory=dict)

    @property
    def history(self) -> str | None:
        """The feature of queries that a step reads, if one does."""
        return next((step.history for step in self.steps if isinstance(step, Calibrate)), None)

    @model_validator(mode="after")
    def _no_step_undoes_another(self) -> "Rules":
        for earlier, later in combinations(self.steps, 2):
            if isinstance(earlier, Mmr | Calibrate) and not isinstance(later, Cap):
                raise ValueError(
                    f"{later.kind} behind {earlier.kind} would order the items by score again; "
                    "put it before, or leave one out"
                )
        return self
