"""FeatureSpec: the single description of the columns that a model sees."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, RootModel, model_validator

from tfrec.config import Section

Role = Literal["user", "item", "context"]


class Categorical(Section):
    """One of a vocabulary of strings.

    The vocabulary is fitted on the training rows; a value outside it, or none at all, takes the
    one out-of-vocabulary row behind the vocabulary's rows.

    Attributes:
      role: whether the column describes the shopper, the item or the moment.
      embedding: floats per row of the embedding table.
      min_count: training rows a value needs to enter the vocabulary.
      unknown_share: share of training examples in which the value is hidden, so that the
        out-of-vocabulary row learns to stand for values never seen.
    """

    role: Role
    kind: Literal["categorical"]
    embedding: Annotated[int, Field(gt=0)]
    min_count: Annotated[int, Field(gt=0)] = 1
    unknown_share: Annotated[float, Field(ge=0, lt=1)] = 0.05


class Sequence(Section):
    """The shopper's most recent values of another feature, oldest first.

    It shares that feature's vocabulary and embedding table. Preparation builds it from the events
    strictly before the example's own time, so an example never sees its own basket.

    Attributes:
      role: always `user`.
      of: name of the categorical feature.
      last: how many values to keep at the most.
    """

    role: Literal["user"]
    kind: Literal["sequence"]
    of: str
    last: Annotated[int, Field(gt=0)]


Feature = Annotated[Categorical | Sequence, Field(discriminator="kind")]


class FeatureSpec(RootModel[dict[str, Feature]]):
    """Every feature of an experiment, by column name."""

    model_config = {"frozen": True}

    @model_validator(mode="after")
    def _names_are_the_shops(self) -> "FeatureSpec":
        for name in self.root:
            if name.startswith("_"):
                raise ValueError(f"{name}: names with a leading underscore are the framework's own")
        return self

    @model_validator(mode="after")
    def _both_sides_have_features(self) -> "FeatureSpec":
        for roles in (("item",), ("user", "context")):
            if not self.of_role(*roles):
                raise ValueError(f"no feature has the role {' or '.join(roles)}; add one")
        return self

    @model_validator(mode="after")
    def _sequences_point_at_categories(self) -> "FeatureSpec":
        for name, feature in self.sequences.items():
            if feature.of not in self.categories:
                raise ValueError(
                    f"{name}.of: {feature.of!r} is no categorical feature; "
                    f"name one of {', '.join(self.categories)}"
                )
        return self

    def __getitem__(self, name: str) -> Categorical | Sequence:
        """Returns a feature by its name."""
        return self.root[name]

    @property
    def categories(self) -> Mapping[str, Categorical]:
        """The categorical features."""
        return {name: f for name, f in self.root.items() if isinstance(f, Categorical)}

    @property
    def sequences(self) -> Mapping[str, Sequence]:
        """The sequence features."""
        return {name: f for name, f in self.root.items() if isinstance(f, Sequence)}

    def of_role(self, *roles: Role) -> list[str]:
        """Names of the features that have one of `roles`, in the order of the config."""
        return [name for name, feature in self.root.items() if feature.role in roles]
