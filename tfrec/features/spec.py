"""FeatureSpec: the single description of the columns that a model sees."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

from pydantic import Field, RootModel, model_validator

from tfrec.config import Duration, Section

Role = Literal["user", "item", "context", "label", "weight", "time"]
Lookup = Literal["vocabulary", "hash", "identity", "dynamic"]
Pooling = Literal["mean", "sum", "sqrt_n"]
Positive = Annotated[int, Field(gt=0)]

MODEL_ROLES: tuple[Role, ...] = ("user", "item", "context")
"""Roles of what a model takes; the other roles accompany an Example and are never served."""

_MOST_COUNTED = 8000


class EvictByAge(Section):
    """Values that did not occur for a while make room for new ones.

    Attributes:
      after: time from a value's last occurrence to the newest example seen.
    """

    by: Literal["age"]
    after: Duration


class EvictLeastUsed(Section):
    """A value makes room for one that has occurred more often of late."""

    by: Literal["least_used"]


class _Looked(Section):
    """What every feature has whose strings are looked up in an embedding table.

    Attributes:
      role: whether the column describes the shopper, the item or the moment.
      embedding: floats per row of the embedding table.
      share: another categorical feature whose lookup and table this one uses. It is fitted on that
        feature's values, and all but that feature's own settings are left out.
      lookup: how a string finds its row. `vocabulary` is fitted on the training rows; `hash` takes
        a hash modulo `rows`, so that strings may share one; `identity` takes whole numbers from 0
        to `rows - 1` as they are; `dynamic` gives rows out while the model trains.
      rows: of the table, for `hash`, `identity` and `dynamic`; for `vocabulary` the most values to
        keep, the most frequent ones.
      min_count: training rows a value needs to enter the vocabulary, or to be given a row.
      unknown_rows: rows behind the others. A value outside the vocabulary or the range, or without
        a row, takes one of them by its hash; a missing value takes one of them too.
      evict: whose row a new value may take when a `dynamic` lookup has none left; by default, no
        one's.
    """

    role: Literal["user", "item", "context"]
    embedding: Positive | None = None
    share: str | None = None
    lookup: Lookup = "vocabulary"
    rows: Positive | None = None
    min_count: Positive = 1
    unknown_rows: Positive = 1
    evict: Annotated[EvictByAge | EvictLeastUsed, Field(discriminator="by")] | None = None

    @model_validator(mode="after")
    def _lookup_has_what_it_needs(self) -> "_Looked":
        if self.share is not None:
            return self._with_nothing_of_its_own()
        if self.embedding is None:
            raise ValueError("embedding: missing; give floats per row, e.g. 32, or share a table")
        if self.evict and self.lookup != "dynamic":
            raise ValueError(f"lookup {self.lookup} never evicts; leave evict out")
        if self.lookup == "vocabulary":
            return self
        if self.rows is None:
            raise ValueError(f"lookup {self.lookup} needs rows, the size of its table")
        if self.lookup == "dynamic" and self.min_count > _MOST_COUNTED:
            raise ValueError(f"lookup dynamic counts to {_MOST_COUNTED}; lower min_count")
        if self.lookup != "dynamic" and self.min_count > 1:
            raise ValueError(f"lookup {self.lookup} has no vocabulary; leave min_count out")
        return self

    def _with_nothing_of_its_own(self) -> "_Looked":
        for name in ("lookup", "rows", "min_count", "unknown_rows", "evict"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"share: {name} is {self.share}'s to say; leave it out")
        return self


class Categorical(_Looked):
    """One string, looked up in an embedding table.

    Attributes:
      unknown_share: share of training examples in which the value is hidden, so that the unknown
        rows learn to stand for values never seen.
    """

    kind: Literal["categorical"]
    unknown_share: Annotated[float, Field(ge=0, lt=1)] = 0.05


class MultiCategorical(_Looked):
    """Several strings at once, such as genres; their embeddings are pooled.

    Attributes:
      separator: splits a column of text, e.g. `|`; columns of lists need none.
      pooling: makes one vector of several: their mean, their sum, or `sqrt_n`, the sum divided by
        the square root of their number.
    """

    kind: Literal["multi_categorical"]
    separator: Annotated[str, Field(min_length=1)] | None = None
    pooling: Pooling = "mean"


class Numeric(Section):
    """One number.

    Attributes:
      role: `label` and `weight` are written beside an Example as float32 and `time` as int64
        seconds since 1970; all three as they are, and no row may lack them.
      transform: `standardise` to mean 0 and variance 1; `log` takes log(1 + x) before;
        `bucketise` cuts at quantiles and embeds the bucket. All are fitted on training rows. A
        missing number becomes the mean, or has a bucket of its own.
      buckets: how many, for `bucketise`.
      embedding: floats per bucket.
      min: rows with a smaller number are rejected.
      max: rows with a larger one are.
    """

    role: Role
    kind: Literal["numeric"]
    transform: Literal["none", "standardise", "log", "bucketise"] = "none"
    buckets: Annotated[int, Field(ge=2)] | None = None
    embedding: Positive | None = None
    min: float | None = None
    max: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _model_inputs_are_standardised(cls, content: object) -> object:
        if isinstance(content, dict) and content.get("role") in MODEL_ROLES:
            return {"transform": "standardise", **content}
        return content

    @model_validator(mode="after")
    def _parts_fit_together(self) -> "Numeric":
        if self.role not in MODEL_ROLES and self.transform != "none":
            raise ValueError(f"role {self.role} is written as it is; leave transform out")
        if (self.transform == "bucketise") != bool(self.buckets and self.embedding):
            raise ValueError("transform bucketise needs buckets and embedding; no other takes them")
        if self.transform == "log" and (self.min is None or self.min <= -1):
            raise ValueError("transform log needs a min above -1, e.g. min: 0")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        return self


class Sequence(Section):
    """The shopper's most recent values of another feature, oldest first.

    It shares that feature's lookup and embedding table. Preparation builds it from the events
    strictly before the example's own time, so an example never sees its own basket.

    Attributes:
      role: always `user`.
      of: name of the categorical feature.
      last: how many values to keep at the most.
      within: `history` looks at all earlier events, `session` at those of the running visit.
      types: only events of these types; by default those that count as examples.
      pooling: as for several categories.
    """

    role: Literal["user"]
    kind: Literal["sequence"]
    of: str
    last: Positive
    within: Literal["history", "session"] = "history"
    types: tuple[str, ...] = ()
    pooling: Pooling = "mean"


class Text(Section):
    """Free text as a bag of hashed n-grams of its words, in lower case; embeddings are pooled.

    Attributes:
      rows: of the embedding table; n-grams that fall together share one.
      ngrams: words of the longest n-gram; all shorter ones are taken too.
      pooling: as for several categories.

    Source: Weinberger et al., Feature Hashing for Large Scale Multitask Learning, ICML 2009.
    """

    role: Literal["user", "item", "context"]
    kind: Literal["text"]
    embedding: Positive
    rows: Positive
    ngrams: Annotated[int, Field(ge=1, le=5)] = 2
    pooling: Pooling = "mean"


class Vector(Section):
    """An embedding made elsewhere, taken as it is; zeros where there is none.

    Attributes:
      dim: floats of each.
      separator: splits a column of text into numbers; columns of lists need none.
    """

    role: Literal["user", "item", "context"]
    kind: Literal["vector"]
    dim: Positive
    separator: Annotated[str, Field(min_length=1)] | None = None


Feature = Annotated[
    Categorical | MultiCategorical | Numeric | Sequence | Text | Vector,
    Field(discriminator="kind"),
]
Kind = TypeVar("Kind", Categorical, MultiCategorical, Numeric, Sequence, Text, Vector)


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

    @model_validator(mode="after")
    def _shared_tables_fit(self) -> "FeatureSpec":
        owners = [name for name, feature in self._looked.items() if feature.share is None]
        for name, feature in self._looked.items():
            if feature.share is None:
                continue
            if feature.share not in owners:
                raise ValueError(
                    f"{name}.share: {feature.share!r} has no lookup of its own; "
                    f"name one of {', '.join(owners)}"
                )
            width = self._looked[feature.share].embedding
            if feature.embedding not in (None, width):
                raise ValueError(
                    f"{name}.embedding: {feature.embedding} is not {feature.share}'s {width}; "
                    "leave it out"
                )
        return self

    def __getitem__(self, name: str) -> Feature:
        """Returns a feature by its name."""
        return self.root[name]

    def of_kind(self, kind: type[Kind]) -> Mapping[str, Kind]:
        """The features of one kind."""
        return {name: f for name, f in self.root.items() if isinstance(f, kind)}

    @property
    def categories(self) -> Mapping[str, Categorical]:
        """The categorical features."""
        return self.of_kind(Categorical)

    @property
    def sequences(self) -> Mapping[str, Sequence]:
        """The sequence features."""
        return self.of_kind(Sequence)

    @property
    def _looked(self) -> Mapping[str, Categorical | MultiCategorical]:
        """The features whose strings are looked up."""
        found = (Categorical, MultiCategorical)
        return {name: f for name, f in self.root.items() if isinstance(f, found)}

    @property
    def columns(self) -> Mapping[str, Feature]:
        """The features that the shop's data hold; sequences are made of others."""
        return {name: f for name, f in self.root.items() if not isinstance(f, Sequence)}

    @property
    def inputs(self) -> list[str]:
        """Names of the features that a model takes."""
        return self.of_role(*MODEL_ROLES)

    @property
    def vocabularies(self) -> list[str]:
        """Names of the features that have a fitted vocabulary of their own."""
        return [
            name
            for name, feature in self._looked.items()
            if feature.share is None and feature.lookup == "vocabulary"
        ]

    def of_role(self, *roles: Role) -> list[str]:
        """Names of the features that have one of `roles`, in the order of the config."""
        return [name for name, feature in self.root.items() if feature.role in roles]

    def table_of(self, name: str) -> str:
        """The feature whose lookup and table a feature uses: a sequence's `of`, `share`, itself."""
        feature = self[name]
        if isinstance(feature, Sequence):
            return self.table_of(feature.of)
        if isinstance(feature, Categorical | MultiCategorical) and feature.share is not None:
            return feature.share
        return name
