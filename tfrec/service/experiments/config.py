"""Experiments and exploration."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from tfrec.config import Section
from tfrec.service.api import Scenario

_MOST_EXPERIMENTS = 20
_MOST_ARMS = 20
_MOST_CANDIDATES = 50
_LAST_PLACE = 100

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Share = Annotated[float, Field(gt=0, le=1)]


class Greedy(Section):
    """No exploration, for an arm to be without it."""

    kind: Literal["none"]


class EpsilonGreedy(Section):
    """Some places of a slate now and then show what did not make it onto the slate.

    Attributes:
      epsilon: the chance with which each of the places does so.
      places: which, from 1.
      candidates: how many of the best behind the slate are drawn from, alike.
      scenarios: the shelves that explore.
    """

    kind: Literal["epsilon_greedy"]
    epsilon: Share
    places: Annotated[tuple[Annotated[int, Field(ge=1, le=_LAST_PLACE)], ...], Field(min_length=1)]
    candidates: Annotated[int, Field(ge=1, le=_LAST_PLACE)] = 20
    scenarios: tuple[Scenario, ...] = ("home",)


class PlackettLuce(Section):
    """The best candidates are drawn place by place, the better the sooner.

    Attributes:
      temperature: ranks by which the weight of a candidate falls to its `1 / e`-th part.
      candidates: how many are drawn from; those behind keep their order.
      scenarios: the shelves that explore.
    """

    kind: Literal["plackett_luce"]
    temperature: Annotated[float, Field(ge=0.25, le=100)]
    candidates: Annotated[int, Field(ge=2, le=_MOST_CANDIDATES)] = 10
    scenarios: tuple[Scenario, ...] = ("home",)


Exploration = Annotated[Greedy | EpsilonGreedy | PlackettLuce, Field(discriminator="kind")]


class Arm(Section):
    """What some of the shoppers get.

    Attributes:
      weight: how many of them, beside the weights of the other arms; 0 closes the arm.
      flow: what differs from the service's `flow`; mappings are merged key by key.
      exploration: in the place of the service's.
      interleave: names of two other arms, whose slates are dealt into one.
    """

    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1
    flow: Mapping[str, Any] = {}
    exploration: Exploration | None = None
    interleave: tuple[Name, Name] | None = None

    @model_validator(mode="after")
    def _deals_others(self) -> "Arm":
        if self.interleave and (self.flow or self.exploration):
            raise ValueError(
                "an arm that interleaves has neither flow nor exploration; give them to the "
                "arms that it names"
            )
        return self


class Experiment(Section):
    """Shoppers divided into arms.

    Attributes:
      arms: name -> what its shoppers get.
      traffic: share of all shoppers that are in the experiment.
      salt: divides shoppers anew when it changes; by default the experiment's name.
      scenarios: the shelves that it is about; by default all.
    """

    arms: Annotated[Mapping[Name, Arm], Field(min_length=1, max_length=_MOST_ARMS)]
    traffic: Share = 1
    salt: str | None = None
    scenarios: tuple[Scenario, ...] = ()

    @model_validator(mode="after")
    def _has_what_it_names(self) -> "Experiment":
        if not any(arm.weight for arm in self.arms.values()):
            raise ValueError("arms: no weight is above 0; give one to the arm that all should get")
        for name, arm in self.arms.items():
            teams = arm.interleave or ()
            if teams and teams[0] == teams[1]:
                raise ValueError(f"arms.{name}.interleave: {teams[0]!r} twice; name two arms")
            for team in teams:
                if team not in self.arms or self.arms[team].interleave:
                    known = [key for key, arm in self.arms.items() if not arm.interleave]
                    raise ValueError(
                        f"arms.{name}.interleave: {team!r} is no arm with a flow of its own; "
                        f"known: {', '.join(known)}"
                    )
        return self


class ExperimentsConfig(Section):
    """Experiments and exploration.

    Attributes:
      running: name -> experiment.
      file: YAML file with what `running` would hold, read again whenever it changes.
      exploration: of shoppers whose arm says nothing of it.
      seed: of what exploration and interleaving draw.
      log: whether the service logs as impressions what it `served`, or leaves that to clients.
    """

    running: Annotated[Mapping[Name, Experiment], Field(max_length=_MOST_EXPERIMENTS)] = {}
    file: Path | None = None
    exploration: Exploration = Greedy(kind="none")
    seed: Annotated[int, Field(ge=0)] = 0
    log: Literal["served", "clients"] = "served"

    @model_validator(mode="after")
    def _has_one_place(self) -> "ExperimentsConfig":
        if self.running and self.file:
            raise ValueError("running and file; give one of them")
        return self


class RunningFile(Section):
    """What the file of experiments holds.

    Attributes:
      experiments: name -> experiment.
    """

    experiments: Annotated[Mapping[Name, Experiment], Field(max_length=_MOST_EXPERIMENTS)]
