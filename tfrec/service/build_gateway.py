"""Putting the parts of a gateway together."""

from collections.abc import Mapping
from dataclasses import dataclass

from tfrec.errors import UserError
from tfrec.service.config import ServiceConfig
from tfrec.service.experiments.exposures import Exposures
from tfrec.service.experiments.running import Experiments
from tfrec.service.feature_store import FeatureStore
from tfrec.service.flow.ask_sources import AllSources
from tfrec.service.flow.flow import Flow, Parts
from tfrec.service.flow.model_sources import (
    Companions,
    OutsideSource,
    Retrieval,
    SearchSource,
    TextModel,
)
from tfrec.service.flow.models import Models
from tfrec.service.flow.offers import Offers, PromotedItems
from tfrec.service.flow.shop import Shop
from tfrec.service.flow.sources import (
    Alike,
    ItemToItem,
    NewItems,
    OwnHistory,
    Popular,
    PopularInCategory,
    Source,
)
from tfrec.service.gateway import Gateway, GatewayParts
from tfrec.service.guide.guide import Guide
from tfrec.service.intake import Intake
from tfrec.service.resilience.guard import Guard
from tfrec.service.resilience.open_cache import open_cache
from tfrec.service.search.search import Search


@dataclass(frozen=True)
class ModelNames:
    """Which models a gateway asks for what.

    Attributes:
      own: the experiment's, of which `recommend`, `rank` and `explain` are asked.
      companions: the one that says what goes with an item; None where there is none.
      texts: the one that finds items by a text, and its feature that takes it; likewise.
      weights: task -> its weight in the own bundle.
      tasks: of the ranking model; None where they are not known before it is asked.
    """

    own: str
    companions: str | None = None
    texts: tuple[str, str] | None = None
    weights: Mapping[str, float] | None = None
    tasks: tuple[str, ...] | None = None


def build_gateway(
    config: ServiceConfig,
    shop: Shop,
    store: FeatureStore,
    intake: Intake,
    models: Models,
    names: ModelNames,
    search: Search,
    offers: Offers | None = None,
) -> Gateway:
    """Makes a gateway, which closes all that it is given; so does a failure, but for the models.

    Args:
      config: the `service` section.
      shop: the items.
      store: the shoppers.
      intake: takes events, and tells the store of them.
      models: the models.
      names: which of these is asked for what.
      search: finds items by words.
      offers: which coupons change what for whom.

    Raises:
      UserError: if the config names an item, a feature or a number that there is not.
    """
    guard = Guard(config.resilience)
    sources = _sources(shop, models, names, search, offers)
    parts = Parts(shop, store, models, guard, sources, names.own, names.weights or {}, names.tasks)
    try:
        guide = Guide(shop.catalogue, search, lambda: shop.assortment, config.guide)
        experiments = Experiments(config.experiments, config.flow, lambda flow: Flow(flow, parts))
    except UserError:
        intake.close()
        store.close()
        raise
    exposures = None
    if config.experiments.log == "served":
        exposures = Exposures(intake.submit, experiments.count)
    shop.live.start()
    cache = open_cache(config.resilience, config.store_url)
    shop.warm()
    return Gateway(
        GatewayParts(shop, models, store, intake, experiments, exposures, guard, cache, guide)
    )


def _sources(
    shop: Shop, models: Models, names: ModelNames, search: Search, offers: Offers | None
) -> AllSources:
    here: dict[str, Source] = {
        "item_to_item": ItemToItem(shop),
        "alike": Alike(shop),
        "own_history": OwnHistory(shop),
        "popular": Popular(shop),
        "popular_in_category": PopularInCategory(shop),
        "new_items": NewItems(shop),
    }
    outside: dict[str, OutsideSource] = {
        "retrieval": Retrieval(shop, models, names.own),
        "search": SearchSource(shop, search),
    }
    if offers:
        here["promotions"] = PromotedItems(offers)
    if names.texts:
        outside["text_model"] = TextModel(shop, models, *names.texts)
    if names.companions:
        outside["companions"] = Companions(shop, models, names.companions)
    return AllSources(here, outside)
