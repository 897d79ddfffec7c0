"""The recommendation service, apart from any transport."""

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tfrec.errors import UserError
from tfrec.service import metrics
from tfrec.service.api import GuideReply, GuideRequest, RecommendationRequest, Slate
from tfrec.service.events import ANONYMOUS
from tfrec.service.experiments.draws import explore
from tfrec.service.experiments.exposures import Exposures
from tfrec.service.experiments.interleaving import interleave
from tfrec.service.experiments.running import Experiments
from tfrec.service.experiments.variants import Variant
from tfrec.service.feature_store import FeatureStore, Shopper
from tfrec.service.flow.errors import UnknownItemError
from tfrec.service.flow.filters import check_filters
from tfrec.service.flow.flow import Flow
from tfrec.service.flow.gather import visitor_of
from tfrec.service.flow.models import Models
from tfrec.service.flow.shop import Shop
from tfrec.service.flow.slate import make_slate
from tfrec.service.flow.state import State
from tfrec.service.guide.guide import Guide
from tfrec.service.intake import Intake, Verdict
from tfrec.service.resilience.cache import Cache, key_of
from tfrec.service.resilience.coalescing import Coalescing
from tfrec.service.resilience.guard import Guard

__all__ = ["Gateway", "GatewayParts", "Item", "Readiness", "UnknownItemError"]

_OK = "ok"


class Item(NamedTuple):
    """An item of the catalogue.

    Attributes:
      id: of the item.
      name: for people.
      features: categories and numbers: `department`, `price`.
    """

    id: str
    name: str
    features: Mapping[str, str | float | None]


class Readiness(NamedTuple):
    """Whether the service can answer, and of which parts.

    Attributes:
      ready: whether it answers at all.
      parts: part, such as `store` or the name of a model -> `ok`, or why it is not.
    """

    ready: bool
    parts: Mapping[str, str]


@dataclass(frozen=True)
class GatewayParts:
    """What a gateway puts together; it closes all of them.

    Attributes:
      shop: the items.
      models: the models.
      store: the shoppers.
      intake: takes events.
      experiments: which flow a shopper gets.
      exposures: logs what is shown; None where clients do.
      guard: keeps time, and leaves alone what fails.
      cache: slates of before.
      guide: answers what shoppers write.
    """

    shop: Shop
    models: Models
    store: FeatureStore
    intake: Intake
    experiments: Experiments[Flow]
    exposures: Exposures | None
    guard: Guard
    cache: Cache
    guide: Guide


class _Made(NamedTuple):
    """A slate, and the team that chose each item where two rankings were dealt into one."""

    slate: Slate
    teams: tuple[str | None, ...]


class Gateway:
    """What a transport, a page or a program asks. Any number of calls may run in one event loop."""

    def __init__(self, parts: GatewayParts) -> None:
        """Takes its parts; see `open_gateway`."""
        self._parts = parts
        self._running: Coalescing[_Made] = Coalescing()
        self._versions: dict[str, str] = {}
        metrics.set_catalogue(len(parts.shop))

    @property
    def shop(self) -> Shop:
        """The items."""
        return self._parts.shop

    async def recommend(self, request: RecommendationRequest) -> Slate:
        """Makes a slate.

        It answers whatever part fails: what stands in is named in the answer.

        Raises:
          UnknownItemError: if the request is about an item that the catalogue lacks.
          UserError: if a filter or a context names a feature that there is not.
        """
        began, parts = time.perf_counter(), self._parts
        try:
            check_filters(request.filters, parts.shop)
            variant = parts.experiments.assign(request.user, request.session, request.scenario)
            made = await self._found_or_made(request, variant)
        except UnknownItemError:
            metrics.count_refusal(request.scenario, "unknown_item")
            raise
        except UserError:
            metrics.count_refusal(request.scenario, "refused")
            raise
        except Exception:
            metrics.count_refusal(request.scenario, "failed")
            raise
        metrics.observe_slate(made.slate, time.perf_counter() - began)
        if parts.exposures:
            parts.exposures.note(made.slate, request.user, request.session, made.teams)
        return made.slate

    async def guide(self, request: GuideRequest) -> GuideReply:
        """Answers what a shopper writes.

        Raises:
          UserError: if the conversation is none of this service's.
        """
        return await self._parts.guide.reply(request, self.recommend)

    async def take_events(self, rows: Sequence[object]) -> list[Verdict]:
        """Takes events in; each has a verdict once it is durable.

        Raises:
          LogError: if they cannot be written.
        """
        parts = self._parts
        verdicts = await asyncio.wrap_future(parts.intake.submit(rows))
        parts.experiments.count(rows, verdicts)
        for row, verdict in zip(rows, verdicts, strict=True):
            known = row.get("type") if isinstance(row, Mapping) else None
            metrics.count_event(known, verdict.status)
        own = {_doer(row) for row, one in zip(rows, verdicts, strict=True) if _is_new(one)}
        await parts.cache.forget(one for one in own if one is not None)
        return verdicts

    async def user(self, user: str) -> Shopper:
        """What is known of a shopper.

        Raises:
          StoreError: if the store does not answer.
        """
        return await asyncio.to_thread(self._parts.store.find, user)

    async def erase(self, user: str) -> bool:
        """Forgets a shopper, and returns whether anything was known; see `Intake.erase`."""
        try:
            return await asyncio.to_thread(self._parts.intake.erase, user)
        finally:
            await self._parts.cache.forget([user])

    def item(self, item: str) -> Item:
        """An item of the catalogue.

        Raises:
          UnknownItemError: if there is none of this id.
        """
        shop = self._parts.shop
        row = int(shop.rows([item])[0])
        if row < 0:
            raise UnknownItemError([item])
        return Item(item, str(shop.names[row]), shop.described(row))

    def readiness(self) -> Readiness:
        """Whether the service can answer now.

        It can without any of its parts, so that it is ready from its start on.
        """
        parts = self._parts
        told = {
            part: _OK if state == "closed" else f"left alone after failures ({state})"
            for part, state in parts.guard.states().items()
        }
        told["experiments"] = parts.experiments.problem or _OK
        told["assortment"] = parts.shop.live.fault or _OK
        told["events"] = parts.intake.problem or _OK
        return Readiness(True, told)

    def arms(self, user: str | None, session: str | None) -> dict[str, Any]:
        """The arms that a shopper is in: experiment -> arm."""
        return dict(self._parts.experiments.arms(user, session))

    async def close(self) -> None:
        """Writes what was taken in, and lets go of models, files and connections."""
        parts = self._parts
        await parts.guide.close()
        if parts.exposures:
            await asyncio.to_thread(parts.exposures.close)
        await asyncio.to_thread(parts.intake.close)
        await asyncio.to_thread(parts.experiments.close)
        await asyncio.to_thread(parts.shop.live.close)
        await parts.models.close()
        await parts.cache.close()
        parts.store.close()

    async def _found_or_made(self, request: RecommendationRequest, variant: Variant[Flow]) -> _Made:
        """A slate of before, one that is in the making, or a new one."""
        cache = self._parts.cache
        visitor = visitor_of(request.user, request.session) or ""
        asked = request.model_dump(mode="json", exclude_defaults=True)
        key = key_of(asked, variant.key, self._versions)
        found = await cache.find(visitor, key)
        if found.value is not None:
            metrics.count_cache("slates", True)
            slate = Slate.model_validate_json(found.value)
            return _Made(slate.model_copy(update={"request_id": _new_id(), "cached": True}), ())
        metrics.count_cache("slates", False)
        if found.stamp is None:
            return await self._make(request, variant)
        made, shared = await self._running.share(
            (visitor, key, found.stamp), lambda: self._make(request, variant)
        )
        if shared:
            metrics.count_coalesced()
            slate = made.slate.model_copy(update={"request_id": _new_id()})
            return _Made(slate, made.teams)
        if not made.slate.fallbacks and not made.teams:
            written = made.slate.model_dump_json().encode()
            key = key_of(asked, variant.key, self._versions)  # of the versions that answered
            await cache.keep(visitor, key, written, found.stamp)
        return made

    async def _make(self, request: RecommendationRequest, variant: Variant[Flow]) -> _Made:
        """Runs the flow, or both of two whose rankings are dealt into one slate."""
        request_id, moment = _new_id(), datetime.now(timezone.utc)
        budget = self._parts.guard.budget()
        random = partial(self._parts.experiments.random, request_id)

        async def ranked(flow: Flow) -> State:
            plan = flow.plans[request.scenario]
            return await plan.rank(State(request, request_id, plan, moment, budget))

        if variant.teams:
            one, other = await asyncio.gather(*(ranked(team.flow) for team in variant.teams))
            state, propensities, numbers = _dealt(one, other, random())
            labels = [team.label for team in variant.teams]
            teams = tuple(None if number is None else labels[number] for number in numbers)
        else:
            state, teams = await ranked(variant.flow), ()
            count, pinned = len(state.candidates), state.plan.pinned
            draw = explore(variant.exploration, count, request.k, random, pinned)
            state = state.having(candidates=state.candidates.take(draw.ranks))
            propensities = draw.propensities.tolist()
        state = await state.plan.finish(state)
        self._versions.update(state.models)
        slate = make_slate(state, self._parts.shop, dict(variant.arms), propensities)
        return _Made(slate, teams)


def _dealt(
    one: State, other: State, random: np.random.Generator
) -> tuple[State, list[float], list[int | None]]:
    """Two rankings as one slate: the first's state, propensities, and the team of each place.

    What both have pinned to the same place stays there, and is no team's.
    """
    first, second = one.candidates.rows, other.candidates.rows
    least = min(len(first), len(second), one.request.k)
    held = [
        place
        for place in sorted({*one.plan.pinned} & {*other.plan.pinned})
        if place < least and first[place] == second[place]
    ]
    free = one.request.k - len(held)
    dealt = interleave(np.delete(first, held), np.delete(second, held), free, random)
    behind = len(first)
    taken = [
        int(np.flatnonzero(first == row)[0])
        if team == 0
        else behind + int(np.flatnonzero(second == row)[0])
        for row, team in zip(dealt.items.tolist(), dealt.teams.tolist(), strict=True)
    ]
    propensities: list[float] = dealt.propensities.tolist()
    teams: list[int | None] = dealt.teams.tolist()
    for place in held:
        taken.insert(place, place)
        propensities.insert(place, 1.0)
        teams.insert(place, None)
    state = replace(
        one,
        candidates=one.candidates.joined(other.candidates).take(np.array(taken, np.int64)),
        tasks=tuple(dict.fromkeys((*one.tasks, *other.tasks))),
        models={**one.models, **other.models},
        fallbacks=tuple(dict.fromkeys((*one.fallbacks, *other.fallbacks))),
    )
    return state, propensities, teams


def _new_id() -> str:
    return uuid.uuid4().hex


def _is_new(verdict: Verdict) -> bool:
    return verdict.status == "accepted"


def _doer(row: object) -> str | None:
    """Who did something that may change a slate; nobody does by being shown something."""
    if not isinstance(row, Mapping) or row.get("type") == "impression":
        return None
    user, session = row.get("user"), row.get("session")
    if user is not None:
        return str(user)
    return None if session is None else ANONYMOUS + str(session)
