"""A ranker's training artefact -> what puts the candidates of a bundle in order."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.data.catalogue import Catalogue
from tfrec.data.query_set import QuerySet, client_tensor
from tfrec.errors import UserError
from tfrec.models.ranking_graph import PLACES
from tfrec.models.signatures import (
    EMBED_ITEM,
    EMBED_QUERY,
    ITEMS,
    RANK,
    RANK_FEATURES,
    SCORE_CATALOGUE,
)
from tfrec.serving.config import RankerConfig
from tfrec.serving.ranker import Ranker
from tfrec.stages.train import TrainedModel

_FIELD = "serving.ranker"
_LOOKED_UP, _SCORED_TOGETHER = 10_000, 4096
_LEAST_KNOWN = 0.5

Specs = Mapping[str, tf.TensorSpec]


@dataclass(frozen=True)
class BundleRanker:
    """A ranker, and what it is told of the items of a bundle.

    Attributes:
      model: its SavedModel, loaded.
      items: raw item feature that it takes -> `[items, ...]` by row of the catalogue.
      item_feature: the feature that holds the ids.
      weights: task -> weight of its prediction.
      candidates: how many items it scores for a list.
      known: share of the items that it was trained on, or of some of them.
    """

    model: Any
    items: Mapping[str, np.ndarray]
    item_feature: str
    weights: Mapping[str, float]
    candidates: int
    known: float

    def in_graph(self, slots: int) -> Ranker:
        """Makes the part of a bundle; `slots` is how many changes of items there is room for."""
        features = {name: of for name, of in self.items.items() if name != self.item_feature}
        return Ranker(self.model, features, self.item_feature, self.weights, self.candidates, slots)

    def predict(self, queries: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
        """Asks the model apart from any bundle.

        Args:
          queries: raw features, `[queries, ...]`.
          rows: `[queries, n]`, of the catalogue.

        Returns:
          Task -> `[queries, n]` float32.
        """
        rank = self.model.signatures[RANK_FEATURES]
        takes, made = rank.structured_input_signature[1], []
        for some in np.array_split(np.arange(len(rows)), -(-rows.size // _SCORED_TOGETHER)):
            distinct, places = np.unique(rows[some], return_inverse=True)
            items = {name: values[distinct] for name, values in self.items.items()}
            asked = {name: values[some] for name, values in queries.items()}
            asked[PLACES] = places.reshape(len(some), -1).astype(np.int32)
            given = {**asked, **items}
            answer = rank(**{name: tf.constant(given[name], takes[name].dtype) for name in takes})
            made.append({task: values.numpy() for task, values in answer.items()})
        return {task: np.concatenate([one[task] for one in made]) for task in made[0]}

    def scores(self, queries: Mapping[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
        """The weighted sums of what `predict` returns: `[queries, n]` float32."""
        predictions = self.predict(queries, rows)
        sums = sum(weight * predictions[task] for task, weight in self.weights.items())
        return np.asarray(sums, np.float32)


def load_ranker(
    config: RankerConfig,
    trained: TrainedModel,
    catalogue: Catalogue,
    item_feature: str,
    queries: QuerySet,
    live: bool,
) -> BundleRanker:
    """Loads a ranker, and checks that it fits the model whose candidates it is to order.

    Args:
      config: the section `serving.ranker`.
      trained: that model.
      catalogue: the bundle's items.
      item_feature: the item feature that holds the items' ids.
      queries: held-out queries.
      live: whether items change while they are served.

    Returns:
      The ranker.

    Raises:
      UserError: if it is no ranker, takes features that requests or the catalogue have not, was
        trained on other items, or has no such tasks.
    """
    artifact = TrainedModel(config.model)
    if artifact.manifest.stage != "train":
        raise UserError(
            f"{_FIELD}.model: {config.model} is of the stage {artifact.manifest.stage}; name the "
            "training artefact of a ranker, e.g. runs/shop_ranker/train"
        )
    model = tf.saved_model.load(str(artifact.saved_model))
    if RANK_FEATURES not in model.signatures:
        raise UserError(
            f"{_FIELD}.model: {config.model} has no signature {RANK_FEATURES}; take a ranking "
            "template, and train one of an earlier version anew"
        )
    query_specs = dict(_takes(model, RANK))
    query_specs.pop(ITEMS)
    item_specs = {
        name: spec
        for name, spec in _takes(model, RANK_FEATURES).items()
        if name != PLACES and name not in query_specs
    }
    retrieval = tf.saved_model.load(str(trained.saved_model))
    ask = EMBED_QUERY if EMBED_QUERY in retrieval.signatures else SCORE_CATALOGUE
    put = _takes(retrieval, EMBED_ITEM) if EMBED_ITEM in retrieval.signatures else {}
    _check_queries(config.model, query_specs, _takes(retrieval, ask))
    return BundleRanker(
        model,
        _items(config.model, item_specs, catalogue, item_feature, put, live),
        item_feature,
        _weights(config, artifact, model),
        config.candidates,
        _known(config.model, model, QuerySet(queries.table.slice(0, 1)), catalogue),
    )


def _takes(model: Any, signature: str) -> Specs:
    return model.signatures[signature].structured_input_signature[1]


def _check_queries(path: Path, takes: Specs, carried: Specs) -> None:
    """Checks that requests carry all that the ranker is to know of a query."""
    for name, spec in takes.items():
        if name not in carried:
            raise UserError(
                f"{_FIELD}.model: {path} takes the feature {name!r}, and requests for this bundle "
                f"carry {', '.join(carried)}; add it to features of this config and train the "
                "model anew, or train the ranker without it"
            )
        _check_kind(path, name, spec, carried[name])


def _items(
    path: Path, takes: Specs, catalogue: Catalogue, item_feature: str, put: Specs, live: bool
) -> dict[str, np.ndarray]:
    """The raw item features that the ranker takes, by row of the catalogue.

    What the model takes of items and the catalogue has not, since promotions tell it, is missing.
    """
    columns = {name for name in catalogue.table.column_names if not name.startswith("_")}
    items = {item_feature: catalogue.ids}
    for name, spec in takes.items():
        if name in items:
            continue
        if name not in (put if live else {*columns, *put}):
            known = ", ".join(sorted({item_feature, *put, *columns}))
            raise UserError(
                f"{_FIELD}.model: {path} takes the item feature {name!r}, and the items of this "
                f"bundle have {known}; add it to features of this config, prepare and train the "
                "model anew, or train the ranker without it"
            )
        if name in columns:
            items[name] = client_tensor(catalogue.table[name].combine_chunks())
            dtype = tf.string if items[name].dtype == object else tf.float32
            _check_kind(path, name, spec, tf.TensorSpec([None, *items[name].shape[1:]], dtype))
        else:
            items[name] = _missing(spec, len(catalogue))
    return items


def _missing(spec: tf.TensorSpec, count: int) -> np.ndarray:
    """Values of a feature that nothing is known of."""
    shape = [count, *(size or 1 for size in spec.shape[1:])]
    if spec.dtype == tf.string:
        return np.full(shape, "", object)
    return np.full(shape, np.nan if len(shape) == 1 else 0, np.float32)


def _check_kind(path: Path, name: str, takes: tf.TensorSpec, has: tf.TensorSpec) -> None:
    if takes.dtype != has.dtype or not takes.shape.is_compatible_with(has.shape):
        raise UserError(
            f"{_FIELD}.model: {path} takes {name} as {_described(takes)}, and in this config it is "
            f"{_described(has)}; give it the same kind in both, and train the ranker anew"
        )


def _described(spec: tf.TensorSpec) -> str:
    sizes = ["batch", *(size or "values" for size in spec.shape[1:])]
    return f"{spec.dtype.name} [{', '.join(map(str, sizes))}]"


def _weights(config: RankerConfig, artifact: TrainedModel, model: Any) -> dict[str, float]:
    """The weights of the tasks that count; by default the first one does."""
    tasks = sorted(model.signatures[RANK].structured_outputs)
    for task in config.weights:
        if task not in tasks:
            raise UserError(
                f"{_FIELD}.weights: {task!r} is no task of {config.model}; those are "
                f"{', '.join(tasks)}"
            )
    ordered = [*artifact.manifest.summary.get("tasks", {}), *(tasks if len(tasks) == 1 else [])]
    if not config.weights and not ordered:
        raise UserError(
            f"{_FIELD}.weights: missing; {config.model} has the tasks {', '.join(tasks)}: say what "
            f"each counts, e.g. {{{tasks[0]}: 1.0}}"
        )
    return dict(config.weights) or {ordered[0]: 1.0}


def _known(path: Path, model: Any, query: QuerySet, catalogue: Catalogue) -> float:
    """The share of the items, or of some of them, whose ids the ranker was trained with."""
    rows = np.unique(np.linspace(0, len(catalogue) - 1, _LOOKED_UP).astype(int))
    takes = _takes(model, RANK)
    features = query.inputs([name for name in takes if name != ITEMS])
    one = {name: tf.constant(value, takes[name].dtype) for name, value in features.items()}
    known = []
    for some in np.array_split(catalogue.ids[rows], -(-len(rows) // _SCORED_TOGETHER)):
        predictions = model.signatures[RANK](**one, **{ITEMS: tf.constant([list(some)])})
        known.append(~np.isnan(next(iter(predictions.values()))[0]))
    share = float(np.concatenate(known).mean())
    if share < _LEAST_KNOWN:
        unknown = catalogue.ids[rows][~np.concatenate(known)][:3]
        raise UserError(
            f"{_FIELD}.model: {path} was trained on other items: it knows {share:.0%} of the "
            f"catalogue's ids, not {', '.join(map(repr, unknown))}; train it on data of this shop"
        )
    return share
