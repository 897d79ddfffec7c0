"""Every combination of arms, made ready before a shopper is in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, Generic, TypeVar, get_args

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.service.api import Scenario
from tfrec.service.experiments.buckets import unit
from tfrec.service.experiments.config import Arm, Experiment, Exploration, Greedy
from tfrec.service.experiments.label import LONGEST, write_label
from tfrec.service.flow.config import FlowConfig

FlowT = TypeVar("FlowT")
Build = Callable[[FlowConfig], FlowT]

Arms = tuple[tuple[str, str], ...]
"""Pairs of experiment and arm."""

SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)
NOBODY: Arms = ()
"""Who is in no experiment."""

_MOST_VARIANTS = 256


@dataclass(frozen=True)
class Team(Generic[FlowT]):
    """One of two rankings that are dealt into a slate.

    Attributes:
      label: that impressions of its items have, `EXPERIMENT=ARM`.
      flow: makes the ranking.
    """

    label: str
    flow: FlowT


@dataclass(frozen=True)
class Variant(Generic[FlowT]):
    """What the shoppers of some arms get.

    Attributes:
      arms: experiment -> arm.
      flow: makes the slate, if no teams do.
      exploration: how the slate is drawn from its ranking, for `explore`.
      key: that no slate of another variant is found by, or of this one before it changed.
      teams: the two rankings that are dealt into one; None where there is one only.
    """

    arms: Mapping[str, str]
    flow: FlowT
    exploration: Exploration
    key: str
    teams: tuple[Team[FlowT], Team[FlowT]] | None = None

    @property
    def label(self) -> str | None:
        """The arms as events have them; None where there are none."""
        return write_label(self.arms)


def make_variants(
    running: Mapping[str, Experiment],
    flow: FlowConfig,
    exploration: Exploration,
    build: Build[FlowT],
) -> dict[Scenario, dict[Arms, Variant[FlowT]]]:
    """Makes every combination of arms that a shopper may be in.

    Args:
      running: name -> experiment.
      flow: of shoppers in no experiment.
      exploration: likewise.
      build: makes a flow of its config.

    Returns:
      Shelf -> arms -> variant.

    Raises:
      UserError: if an arm's flow is none, two arms that meet cannot, or they are too many.
    """
    maker = _Maker(running, flow, exploration, build)
    maker.check_each_alone()
    return {
        scenario: {
            arms: maker.make(arms, scenario) for arms in _meetings(on_shelf(running, scenario))
        }
        for scenario in SCENARIOS
    }


def on_shelf(running: Mapping[str, Experiment], scenario: Scenario) -> dict[str, Experiment]:
    """The experiments that a shelf has; of None, those that every shelf has."""
    return {
        name: one for name, one in running.items() if not one.scenarios or scenario in one.scenarios
    }


def _meetings(running: Mapping[str, Experiment]) -> list[Arms]:
    """The arms that a shopper may be in together."""
    choices = []
    for name, one in running.items():
        inside = [(name, arm) for arm, content in one.arms.items() if content.weight]
        choices.append(inside if one.traffic == 1 else [None, *inside])
    count = prod(map(len, choices))
    if count > _MOST_VARIANTS:
        raise UserError(
            f"experiments: {count:,} combinations of arms meet on one shelf, and at most "
            f"{_MOST_VARIANTS} may; run fewer at once, or give them scenarios"
        )
    met = [tuple(pair for pair in chosen if pair) for chosen in product(*choices)]
    return [*dict.fromkeys([NOBODY, *met])]


class _Maker(Generic[FlowT]):
    """Makes variants, and each of their flows once."""

    def __init__(
        self,
        running: Mapping[str, Experiment],
        flow: FlowConfig,
        exploration: Exploration,
        build: Build[FlowT],
    ) -> None:
        self._running, self._exploration, self._build = running, exploration, build
        self._content = flow.model_dump(exclude_unset=True)
        written = [exploration, flow, *running.values()]
        self._digest = unit(*(section.model_dump_json() for section in written))
        self._flows: dict[str, FlowT] = {}

    def check_each_alone(self) -> None:
        """Tries each arm, so that a fault is told by its place in the config."""
        for name, one in self._running.items():
            for arm in one.arms:
                self._flow(((name, arm),))

    def make(self, arms: Arms, scenario: Scenario) -> Variant[FlowT]:
        label = write_label(dict(arms))
        if label and len(label) > LONGEST:
            raise UserError(
                f"experiments: {label}: longer than {LONGEST} letters; give shorter names"
            )
        contents = [self._arm(*pair) for pair in arms]
        teams = self._teams(arms)
        explores = [one.exploration for one in contents if one.exploration]
        exploration = [self._exploration, *explores][-1]
        if teams or isinstance(exploration, Greedy) or scenario not in exploration.scenarios:
            exploration = Greedy(kind="none")
        key = f"{label}@{self._digest}"
        return Variant(dict(arms), self._flow(arms), exploration, key, teams)

    def _teams(self, arms: Arms) -> tuple[Team[FlowT], Team[FlowT]] | None:
        deals = [(name, arm) for name, arm in arms if self._arm(name, arm).interleave]
        if not deals:
            return None
        if len(deals) > 1:
            both = " and ".join(f"{name}.arms.{arm}" for name, arm in deals)
            raise UserError(
                f"experiments: {both} both interleave, and a slate has two teams; give the "
                "experiments different scenarios"
            )
        ((name, arm),) = deals
        one, other = (
            Team(f"{name}={team}", self._flow((*arms, (name, team))))
            for team in self._arm(name, arm).interleave or ()
        )
        return one, other

    def _flow(self, arms: Arms) -> FlowT:
        """The flow with what arms say of it, the later over the earlier."""
        content = self._content
        for arm in (self._arm(*pair) for pair in arms):
            content = _merge(content, arm.flow)
        where = "experiments.{}.arms.{}.flow".format(*arms[-1]) if arms else "flow"
        config = validate(FlowConfig, content, where)
        key = config.model_dump_json()
        if key not in self._flows:
            try:
                self._flows[key] = self._build(config)
            except UserError as error:
                raise UserError(f"{where}: {error}") from None
        return self._flows[key]

    def _arm(self, experiment: str, arm: str) -> Arm:
        return self._running[experiment].arms[arm]


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        if isinstance(inner, Mapping) and isinstance(value, Mapping):
            value = _merge(inner, value)
        merged[key] = value
    return merged
