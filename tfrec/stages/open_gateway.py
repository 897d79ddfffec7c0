"""A trained experiment -> its recommendation service."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.config import DataConfig
from tfrec.data.prepared import PreparedData
from tfrec.errors import UserError
from tfrec.models.signatures import RANK
from tfrec.service.build_gateway import ModelNames, build_gateway
from tfrec.service.config import ServiceConfig
from tfrec.service.flow.knowledge import load_knowledge
from tfrec.service.flow.models import Models
from tfrec.service.flow.models_here import ModelsHere
from tfrec.service.flow.models_there import ModelsThere
from tfrec.service.flow.offers import Offers
from tfrec.service.flow.shop import Shop
from tfrec.service.gateway import Gateway
from tfrec.service.intake import Intake
from tfrec.service.live_assortment import LiveAssortment
from tfrec.service.open_store import open_store
from tfrec.service.search.search import Search
from tfrec.stages.experiment import Experiment
from tfrec.stages.index import ItemIndex
from tfrec.stages.push_features import online_features

_CACHE, _EVENTS = "cache", "events"


def open_gateway(experiment: Experiment, service: ServiceConfig | None = None) -> Gateway:
    """Opens the recommendation service of an experiment that has been trained and pushed.

    Args:
      experiment: gives the prepared data, the index and the model.
      service: the `service` section; by default the experiment's.

    Returns:
      The gateway, which loads models if no server is named.

    Raises:
      UserError: if the experiment was not run, or the config is wrong.
    """
    config = service or experiment.config.service
    data = _data(experiment)
    shop = _shop(experiment, config, data)
    search = Search(shop.catalogue, config.search, shop.sold)
    offers = None
    if config.promotions:
        offers = Offers.read(config.promotions, shop.catalogue, shop.sold)
    online = online_features(experiment.prepared, experiment.config.features)
    names, models = _models(experiment, config)
    store = open_store(config.store_url, online)
    erased = data.clean.erased or config.erased
    intake = Intake(config.folder / _EVENTS, online, store, erased)
    return build_gateway(config, shop, store, intake, models, names, search, offers)


def _data(experiment: Experiment) -> DataConfig:
    return validate(DataConfig, experiment.prepared.manifest.config["data"], "data")


def _shop(experiment: Experiment, config: ServiceConfig, data: DataConfig) -> Shop:
    prepared, manifest = PreparedData(experiment.prepared.path), experiment.prepared.manifest
    catalogue = Catalogue(prepared.catalogue)
    cache = config.folder / _CACHE
    known = load_knowledge(prepared, data, manifest.id, config.flow.half_life, cache)
    shop = Shop(
        catalogue,
        experiment.config.features,
        manifest.summary["user"],
        manifest.summary["item"],
        known.sold,
        known.is_new,
        known.neighbours,
        _vectors(experiment.item_index, len(catalogue)),
        LiveAssortment(config.assortment, catalogue),
        config.flow.category,
    )
    if config.flow.category and config.flow.category not in shop.columns.single:
        raise UserError(
            f"service.flow.category: {config.flow.category!r}: no category of the catalogue; "
            f"known: {', '.join(shop.columns.single) or 'none'}"
        )
    return shop


def _vectors(index: ItemIndex, items: int) -> np.ndarray | None:
    """The items' vectors, each of length 1."""
    vectors = index.embeddings() if not index.catalogue.exists() else None
    if vectors is None or len(vectors) != items:
        return None
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def _models(experiment: Experiment, config: ServiceConfig) -> tuple[ModelNames, Models]:
    """Which models are asked for what, and where they are."""
    serving = experiment.config.serving
    weights = dict(serving.ranker.weights) if serving.ranker else {}
    others = {"complementary": config.complementary, "search.model": config.search.model}
    asked = {field: path for field, path in others.items() if path is not None}
    if config.server is not None:
        paths: dict[str, Path] = {}
        named = {field: str(path) for field, path in asked.items()}
    else:
        paths = {serving.name: _base_path(experiment)}
        loaded = {field: Experiment.load(path) for field, path in asked.items()}
        named = {field: other.config.serving.name for field, other in loaded.items()}
        for field, other in loaded.items():
            paths[named[field]] = _base_path(other)
    ranker = config.flow.rank.model or serving.name
    texts = named.get("search.model")
    names = ModelNames(
        serving.name,
        named.get("complementary"),
        (texts, config.search.feature) if texts else None,
        weights,
    )
    if config.server is not None:
        return names, ModelsThere(config.server)
    if ranker not in paths:
        paths[ranker] = serving.root / ranker
        if not _versions(paths[ranker]):
            raise UserError(
                f"service.flow.rank.model: {ranker!r}: no version below {paths[ranker]}; push it "
                "there first"
            )
    models = ModelsHere(paths)
    known = models.signatures_now(ranker)
    return replace(names, tasks=tuple(known[RANK].outputs) if RANK in known else ()), models


def _base_path(experiment: Experiment) -> Path:
    """Where a model's versions are: the model root, or the bundle that was not pushed."""
    serving = experiment.config.serving
    pushed = serving.root / serving.name
    if _versions(pushed):
        return pushed
    return experiment.bundle.version.parent  # says what to run where there is none


def _versions(base_path: Path) -> list[Path]:
    return [one for one in base_path.glob("*") if one.name.isdigit() and one.is_dir()]
