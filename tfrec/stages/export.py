"""a trained model + its index -> a bundle that TensorFlow Serving loads."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.data.catalogue import Catalogue
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.retrieval.filters import NEW_ITEMS, ItemFilter
from tfrec.retrieval.reranking import Reranker, Rules
from tfrec.serving.config import ServingConfig
from tfrec.serving.export import export_bundle, write_warmup
from tfrec.serving.feature_inputs import feature_inputs
from tfrec.serving.live_items import LiveItems
from tfrec.serving.names import (
    DEFAULT,
    FILTERED,
    PUT_ITEMS,
    RECOMMEND,
    REMOVE_ITEMS,
    K,
)
from tfrec.serving.op_audit import foreign_ops, servers_of
from tfrec.serving.verify import StoredRequest, refuse_faults, verify, write_requests
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.index import ItemIndex
from tfrec.stages.reporter import Reporter
from tfrec.stages.train import TrainedModel
from tfrec.stages.verify import expected_answers

_TWIN = "twin"
_WARMUP_REQUESTS = 10


class ServingBundle(Artifact):
    """A SavedModel below `name/version/`, ready to be copied below a model root."""

    @property
    def version(self) -> Path:
        """The version's directory."""
        summary = self.manifest.summary
        return self.path / summary["name"] / str(summary["version"])

    @property
    def twin(self) -> Path | None:
        """The same for servers with TensorFlow's own operations, where the version needs others."""
        twin = self.path / _TWIN / self.version.relative_to(self.path)
        return twin if twin.exists() else None

    @property
    def versions(self) -> list[Path]:
        """The version's directory, and the twin's where there is one."""
        return [self.version, *([self.twin] if self.twin else [])]

    @property
    def prepared(self) -> Path:
        """The prepared data that the model was made from."""
        return Path(self.manifest.summary["prepared"])


def export(
    config: ServingConfig,
    prepared: Artifact,
    trained: TrainedModel,
    indexed: ItemIndex,
    output: Path,
    reporter: Reporter | None = None,
    rules: Rules | None = None,
) -> ServingBundle:
    """Joins model and index into one SavedModel with warm-up requests, and verifies it.

    Args:
      config: the `serving` section.
      prepared: prepared data.
      trained: the model.
      indexed: its index.
      output: directory of the artefact.
      reporter: hears of the steps.
      rules: the `reranking` section.

    Returns:
      The artefact; its version is the moment of export, in seconds since 1970. Its summary names
      the operations that are not TensorFlow's own, and the servers that can run it, and says how
      near its answers are to those of the trained model.

    Raises:
      UserError: if the index is of another model, the filters or rules do not fit the catalogue, or
        the bundle does not answer as the trained model.
    """
    reporter = reporter or Reporter()
    if indexed.manifest.inputs["train"] != trained.manifest.id:
        raise UserError(
            f"{indexed.path}: was built from another model than {trained.path}; run the index "
            "stage again"
        )

    def make(directory: Path) -> dict[str, Any]:
        data = PreparedData(prepared.path)
        changed = indexed.catalogue.exists()
        catalogue = Catalogue(indexed.catalogue if changed else data.catalogue)
        version = int(time.time())
        queries = QuerySet.read_held_out(data, trained.queries)
        k = min(config.k, len(catalogue))
        new = _new(catalogue, data)
        live = _live_items(config, prepared, indexed)
        slots = config.live_items
        item_filter = (
            ItemFilter(catalogue.table, config.filters, new, slots) if config.filters else None
        )
        reranker = Reranker(rules, catalogue, indexed.embeddings(), slots) if rules else None
        bundle = directory / config.name / str(version)
        indexes = {bundle: indexed.saved_model}
        if indexed.twin.exists():
            indexes[directory / _TWIN / config.name / str(version)] = indexed.twin
        for place, index in indexes.items():
            reporter.step(f"joining model and {'index' if place == bundle else 'twin'}")
            ids = list(catalogue.ids)
            model = trained.saved_model
            inputs = export_bundle(model, index, ids, k, place, item_filter, reranker, live)
            write_warmup(place, config.name, _warmup(queries, k, inputs))
        reporter.step("comparing its answers with the trained model's")
        item = prepared.manifest.summary["item"]
        stored = expected_answers(trained, indexed, catalogue, item, queries, k, rules, inputs)
        verified = {
            str(place.relative_to(directory)): _verified(place, config.name, stored)
            for place in indexes
        }
        foreign = foreign_ops(bundle)
        return {
            "name": config.name,
            "version": version,
            "size_bytes": sum(file.stat().st_size for file in bundle.rglob("*") if file.is_file()),
            "prepared": str(prepared.path.resolve()),
            "foreign_ops": foreign,
            "servers": servers_of(foreign),
            "verified": verified,
        }

    section = config.model_dump(mode="json", exclude={"root"})
    if rules:
        section["reranking"] = rules.model_dump(mode="json")
    made_of = {"train": trained.manifest.id, "index": indexed.manifest.id}
    return ServingBundle(produce("export", section, made_of, output, make).path)


def _verified(version: Path, model: str, stored: Sequence[StoredRequest]) -> list[dict[str, Any]]:
    """Stores requests with a version, and says how near its answers are to what is expected."""
    write_requests(version, model, stored)
    checked = verify(version)
    refuse_faults(version, checked)
    return [one._asdict() for one in checked]


def _live_items(config: ServingConfig, prepared: Artifact, indexed: ItemIndex) -> LiveItems | None:
    if not config.live_items:
        return None
    if indexed.embeddings() is None:
        raise UserError(
            f"serving.live_items: {config.live_items}, but the model scores a fixed catalogue and "
            "cannot embed other items; leave it out, or take a retrieval template"
        )
    since = indexed.manifest.summary.get("since", prepared.began)
    return LiveItems(config.live_items, prepared.manifest.summary["item"], since)


def _new(catalogue: Catalogue, data: PreparedData) -> np.ndarray:
    """Which items no training event names: `[items]` bool."""
    rows = Catalogue(data.catalogue).rows(catalogue.ids)
    return (rows < 0) | (data.item_counts(TRAIN)[rows] == 0)


def _warmup(
    queries: QuerySet, k: int, signatures: Mapping[str, Mapping[str, tf.TensorSpec]]
) -> list[tuple[str, dict[str, Any]]]:
    """Real queries of one shopper each, and one of all these shoppers together."""
    some = QuerySet(queries.table.slice(0, _WARMUP_REQUESTS))
    requests = []
    for batch in (*some.batches(1), some):
        features = batch.inputs(batch.features)
        given = {**features, K: np.int32(k), NEW_ITEMS: np.int32(1)}
        for name in (RECOMMEND, FILTERED, DEFAULT):
            specs = signatures.get(name, {})
            missing = {item: spec for item, spec in specs.items() if item not in given}
            nothing = feature_inputs(missing, [{}] * len(batch))
            known = {item: value for item, value in given.items() if item in specs}
            if specs:
                requests.append((name, {**known, **nothing}))
    # Changes of no items: the first real one is then as fast as all others.
    changes = [name for name in (PUT_ITEMS, REMOVE_ITEMS) if name in signatures]
    return requests + [(name, feature_inputs(signatures[name], [])) for name in changes]
