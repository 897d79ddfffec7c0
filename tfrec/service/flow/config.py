"""Candidate sources, the order of the steps, and what an item is worth."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from tfrec.config import Duration, Section
from tfrec.service.api import Scenario
from tfrec.service.flow.expression import Expression

SourceKind = Literal[
    "retrieval",
    "item_to_item",
    "companions",
    "alike",
    "own_history",
    "popular",
    "popular_in_category",
    "new_items",
    "promotions",
    "search",
    "text_model",
]
StepName = Literal["gather", "sources", "merge", "filter", "rank", "value", "rerank", "explain"]

_FIRST: tuple[StepName, ...] = ("gather", "sources", "merge")
STEPS: tuple[StepName, ...] = (*_FIRST, "filter", "rank", "value", "rerank", "explain")
_MOST_CANDIDATES = 2000

Count = Annotated[int, Field(ge=1, le=_MOST_CANDIDATES)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


def _check_expression(text: str) -> str:
    Expression(text)
    return text


def _check_steps(steps: tuple[StepName, ...]) -> tuple[StepName, ...]:
    if steps[: len(_FIRST)] != _FIRST:
        raise ValueError(f"the first have to be {', '.join(_FIRST)}")
    if len(set(steps)) < len(steps):
        raise ValueError("a step is there twice; name each once")
    if "explain" in steps[:-1]:
        raise ValueError("explain has to be the last, for it explains what is shown")
    return steps


ValueExpression = Annotated[str, AfterValidator(_check_expression)]
Steps = Annotated[tuple[StepName, ...], AfterValidator(_check_steps)]


class SourceConfig(Section):
    """Where candidates come from.

    Attributes:
      kind: which source.
      count: how many it is asked for.
      weight: how much its ranks count where candidates are merged.
    """

    kind: SourceKind
    count: Count = 100
    weight: Positive = 1.0


class RankConfig(Section):
    """The ranking model.

    Attributes:
      candidates: how many it scores, the best by what was merged.
      model: name of the model that has the signature `rank`; by default the experiment's own.
    """

    candidates: Count = 200
    model: str | None = None


class Diversity(Section):
    """How much items of one category are kept apart.

    Attributes:
      feature: category of the catalogue.
      strength: 0 keeps the order; 1 never takes a category again before all others.
      pool: how many of the best are chosen from.
    """

    feature: str
    strength: Share = 0.3
    pool: Count = 50


class RerankConfig(Section):
    """Rules for what stands beside what.

    Attributes:
      diversity: how much items of one category are kept apart.
      caps: category -> how many items of one of its values a slate has at most.
      pins: place from 1 -> id of the item that always stands there.
    """

    diversity: Diversity | None = None
    caps: Mapping[str, Annotated[int, Field(ge=1)]] = {}
    pins: Mapping[Annotated[int, Field(ge=1)], str] = {}


class ScenarioConfig(Section):
    """One shelf.

    Attributes:
      sources: where its candidates come from; no two of one kind.
      stand_ins: sources that are asked where another one fails, or where too little is left.
      fill: whether stand-ins fill a slate that would be short.
      bought: whether items of the shopper's history may be on it.
      steps: the steps in their order; by default those of the flow.
      value: what orders it; by default that of the flow.
      rerank: rules; by default those of the flow.
    """

    sources: Annotated[tuple[SourceConfig, ...], Field(min_length=1)]
    stand_ins: tuple[SourceConfig, ...] = ()
    fill: bool = True
    bought: Literal["keep", "leave_out"] = "keep"
    steps: Steps | None = None
    value: ValueExpression | None = None
    rerank: RerankConfig | None = None

    @model_validator(mode="after")
    def _names_each_source_once(self) -> "ScenarioConfig":
        for field, sources in (("sources", self.sources), ("stand_ins", self.stand_ins)):
            kinds = [source.kind for source in sources]
            if len(set(kinds)) < len(kinds):
                raise ValueError(f"{field}: a kind is there twice; name each once")
        return self


_STAND_INS = (
    SourceConfig(kind="item_to_item", count=100),
    SourceConfig(kind="popular", count=100, weight=0.5),
)

_SCENARIOS: Mapping[Scenario, ScenarioConfig] = {
    "home": ScenarioConfig(
        sources=(
            SourceConfig(kind="retrieval", count=200),
            SourceConfig(kind="own_history", count=50),
            SourceConfig(kind="item_to_item", count=50, weight=0.5),
            SourceConfig(kind="popular_in_category", count=30, weight=0.5),
            SourceConfig(kind="new_items", count=10, weight=0.3),
        ),
        stand_ins=_STAND_INS,
    ),
    "similar": ScenarioConfig(
        sources=(SourceConfig(kind="alike", count=100),), stand_ins=_STAND_INS[:1]
    ),
    "complementary": ScenarioConfig(
        sources=(
            SourceConfig(kind="companions", count=100),
            SourceConfig(kind="item_to_item", count=100),
        ),
        stand_ins=_STAND_INS[1:],
        steps=("gather", "sources", "merge", "filter", "rerank", "explain"),
    ),
    "reorder": ScenarioConfig(
        sources=(SourceConfig(kind="own_history", count=100),),
        stand_ins=_STAND_INS[1:],
        fill=False,
        steps=("gather", "sources", "merge", "filter", "rerank", "explain"),
    ),
    "promotions": ScenarioConfig(
        sources=(SourceConfig(kind="promotions", count=200),),
        stand_ins=_STAND_INS,
        steps=("gather", "sources", "merge", "filter", "rerank", "explain"),
    ),
    "search": ScenarioConfig(
        sources=(
            SourceConfig(kind="search", count=200),
            SourceConfig(kind="text_model", count=100, weight=0.5),
        ),
        fill=False,
        steps=("gather", "sources", "merge", "filter", "rerank", "explain"),
    ),
}
"""What a shelf is where the config says nothing of it."""


class FlowConfig(Section):
    """Candidate sources, the order of the steps, and what an item is worth.

    Attributes:
      steps: the steps in their order; `gather`, `sources` and `merge` come first.
      rank: the ranking model.
      value: what orders a slate: an expression over the ranking model's tasks, `score` (of what was
        merged), `uplift`, and the numbers of the catalogue and the assortment, such as `price` and
        `margin`; one that is not known of an item counts as 0. By default the tasks as the bundle
        weighs them, or `score` where nothing was ranked.
      rerank: rules for what stands beside what.
      category: feature of the catalogue that says what is alike; by default the one whose number of
        values is nearest to the square root of that of the items.
      half_life: after so long, an event counts half in what is popular.
      scenarios: shelves that are not as they are by default.
    """

    steps: Steps = STEPS
    rank: RankConfig = RankConfig()
    value: ValueExpression | None = None
    rerank: RerankConfig = RerankConfig()
    category: str | None = None
    half_life: Duration = 30 * 86_400
    scenarios: Mapping[Scenario, ScenarioConfig] = {}

    def scenario(self, name: Scenario) -> ScenarioConfig:
        """A shelf's sources and rules."""
        return self.scenarios.get(name) or _SCENARIOS[name]
