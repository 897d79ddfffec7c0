"""The flow: gather, sources, merge, filter, rank, value, re-rank, explain."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from tfrec.errors import UserError
from tfrec.service.api import Scenario
from tfrec.service.feature_store import FeatureStore
from tfrec.service.flow.ask_sources import AllSources, AskSources
from tfrec.service.flow.config import FlowConfig, RerankConfig, ScenarioConfig, SourceConfig
from tfrec.service.flow.explain import Explain
from tfrec.service.flow.expression import Expression
from tfrec.service.flow.filters import Filter
from tfrec.service.flow.gather import Gather
from tfrec.service.flow.merge import Merge
from tfrec.service.flow.models import Models
from tfrec.service.flow.plan import Plan, Step
from tfrec.service.flow.rank import Rank
from tfrec.service.flow.rerank import Rerank
from tfrec.service.flow.shop import Shop
from tfrec.service.flow.value import SCORE, UPLIFT, ValueStep
from tfrec.service.resilience.guard import Guard

_LAST = ("explain",)


@dataclass(frozen=True)
class Parts:
    """What the steps of all flows share.

    Attributes:
      shop: the items.
      store: the shoppers.
      models: the models.
      guard: keeps the time.
      sources: where candidates can come from.
      model: name of the experiment's own model.
      weights: task -> its weight in the bundle.
      tasks: of the ranking model; None where they are not known before it is asked.
    """

    shop: Shop
    store: FeatureStore
    models: Models
    guard: Guard
    sources: AllSources
    model: str
    weights: Mapping[str, float]
    tasks: tuple[str, ...] | None = None


class Flow:
    """A plan for each shelf, as one config has them."""

    def __init__(self, config: FlowConfig, parts: Parts) -> None:
        """Makes the steps.

        Raises:
          UserError: if the config names an item, a feature or a number that there is not.
        """
        self._config, self._parts = config, parts
        self.plans: dict[Scenario, Plan] = {
            name: self._plan(name, config.scenario(name)) for name in get_args(Scenario)
        }

    def _plan(self, name: str, scenario: ScenarioConfig) -> Plan:
        config, parts = self._config, self._parts
        where = f"scenarios.{name}" if name in config.scenarios else ""
        value, at = scenario.value or config.value, "value"
        if scenario.value:
            at = f"{where}.value"
        rerank = scenario.rerank or config.rerank
        _check_rules(f"{where}.rerank" if scenario.rerank else "rerank", rerank, parts.shop)
        asked = self._there(f"{where}.sources", scenario.sources, name in config.scenarios)
        stand_ins = self._there(f"{where}.stand_ins", scenario.stand_ins, name in config.scenarios)
        sources = AskSources(parts.sources, asked, stand_ins, parts.guard)
        ranker = config.rank.model or parts.model
        steps: dict[str, Step] = {
            "gather": Gather(parts.shop, parts.store, parts.guard),
            "sources": sources,
            "merge": Merge(),
            "filter": Filter(parts.shop, sources),
            "rank": Rank(parts.shop, parts.models, parts.guard, ranker, config.rank.candidates),
            "value": ValueStep(parts.shop, self._expression(at, value), parts.weights),
            "rerank": Rerank(parts.shop, rerank),
            "explain": Explain(parts.shop, parts.models, parts.guard, parts.model),
        }
        names = scenario.steps or config.steps
        return Plan(
            scenario,
            [steps[step] for step in names if step not in _LAST],
            [steps[step] for step in names if step in _LAST],
            {one.kind: one.weight for one in (*scenario.stand_ins, *scenario.sources)},
            tuple(place - 1 for place in rerank.pins) if "rerank" in names else (),
        )

    def _there(
        self, where: str, named: tuple[SourceConfig, ...], is_written: bool
    ) -> list[SourceConfig]:
        """The sources that there are; what a config asks for has to be there."""
        missing = [one.kind for one in named if one.kind not in self._parts.sources]
        if missing and is_written:
            raise UserError(f"{where}: {missing[0]!r}: {_REMEDIES.get(missing[0], 'not there')}")
        return [one for one in named if one.kind in self._parts.sources]

    def _expression(self, where: str, text: str | None) -> Expression | None:
        if text is None:
            return None
        made, parts = Expression(text), self._parts
        if parts.tasks is not None:
            known = {SCORE, UPLIFT, *parts.tasks, *parts.shop.numbers()}
            unknown = sorted(made.names - known)
            if unknown:
                raise UserError(
                    f"{where}: {unknown[0]!r}: no such number; known: {', '.join(sorted(known))}"
                )
        return made


_REMEDIES = {
    "companions": "no experiment says what goes with an item; name one in service.complementary",
    "text_model": "no model finds items by a text; name one in service.search.model",
    "promotions": "no offers are known; name their files in service.promotions",
}


def _check_rules(where: str, rules: RerankConfig, shop: Shop) -> None:
    """Checks that rules name features and items that there are."""
    known = shop.columns.single
    named = {f"caps.{name}": name for name in rules.caps}
    if rules.diversity:
        named["diversity.feature"] = rules.diversity.feature
    for field, name in named.items():
        if name not in known:
            raise UserError(
                f"{where}.{field}: {name!r}: no category of the catalogue; known: "
                f"{', '.join(known) or 'none'}"
            )
    for place, item in rules.pins.items():
        if shop.rows([item])[0] < 0:
            raise UserError(
                f"{where}.pins.{place}: {item!r}: not in the catalogue; give an item's id"
            )
