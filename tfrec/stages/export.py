"""a trained model + its index -> a bundle that TensorFlow Serving loads."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.data.catalogue import Catalogue
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.evaluation.config import Protocol
from tfrec.models.signatures import RANK
from tfrec.retrieval.filters import NEW_ITEMS, ItemFilter
from tfrec.retrieval.reranking import Reranker, Rules
from tfrec.serving.config import ServingConfig
from tfrec.serving.export import export_bundle, write_warmup
from tfrec.serving.feature_inputs import feature_inputs
from tfrec.serving.live_items import LiveItems
from tfrec.serving.names import (
    DEFAULT,
    EXPLAIN,
    FILTERED,
    ITEMS,
    PUT_ITEMS,
    RECOMMEND,
    REMOVE_ITEMS,
    K,
)
from tfrec.serving.op_audit import foreign_ops, servers_of
from tfrec.serving.verify import (
    TOLERANCES,
    StoredRequest,
    refuse_faults,
    verify,
    write_requests,
)
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.bundle_ranker import BundleRanker, load_ranker
from tfrec.stages.index import ItemIndex
from tfrec.stages.quantise import TRAINED, measure_change, save_quantised, stored_bytes
from tfrec.stages.reporter import Reporter
from tfrec.stages.train import TrainedModel
from tfrec.stages.verify import expected_answers

_TWIN, _QUANTISED = "twin", "quantised_model"
_WARMUP_REQUESTS = 10

Signatures = Mapping[str, Mapping[str, tf.TensorSpec]]


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


def find_versions(bundle: Path) -> list[Path]:
    """Finds what a server would serve.

    Args:
      bundle: an artefact of the export stage, or the directory of a version below a model root.

    Returns:
      The version's directory, and the twin's where the artefact has one.
    """
    alone = (bundle / "saved_model.pb").exists()
    return [bundle.resolve()] if alone else ServingBundle(bundle).versions


def export(
    config: ServingConfig,
    prepared: Artifact,
    trained: TrainedModel,
    indexed: ItemIndex,
    output: Path,
    reporter: Reporter | None = None,
    rules: Rules | None = None,
    protocol: Protocol | None = None,
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
      protocol: how to measure what fewer bytes change, where `config.precision` asks for them.

    Returns:
      The artefact; its version is the moment of export, in seconds since 1970. Its summary names
      the operations that are not TensorFlow's own, and the servers that can run it, and says how
      near its answers are to those of the trained model. With fewer bytes it holds `metric_change`,
      see `measure_change`, and `model_bytes`, the sizes of both models' variables.

    Raises:
      UserError: if the index is of another model, the filters, rules or ranker do not fit the
        catalogue, or the bundle does not answer as the trained model.
    """
    reporter = reporter or Reporter()
    if indexed.manifest.inputs["train"] != trained.manifest.id:
        raise UserError(
            f"{indexed.path}: was built from another model than {trained.path}; run the index "
            "stage again"
        )

    section = config.model_dump(mode="json", exclude={"root"})
    if rules:
        section["reranking"] = rules.model_dump(mode="json")
    if config.precision != TRAINED and protocol:
        section["protocol"] = protocol.model_dump(mode="json", include=set(Protocol.model_fields))
    made_of = {"train": trained.manifest.id, "index": indexed.manifest.id}
    if config.ranker:
        made_of["ranker"] = Artifact(config.ranker.model).manifest.id
    parts = _Parts(config, prepared, trained, indexed, rules, protocol or Protocol(), reporter)
    return ServingBundle(produce("export", section, made_of, output, parts.join).path)


@dataclass(frozen=True)
class _Parts:
    """What a bundle is made of; see `export`."""

    config: ServingConfig
    prepared: Artifact
    trained: TrainedModel
    indexed: ItemIndex
    rules: Rules | None
    protocol: Protocol
    reporter: Reporter

    def join(self, directory: Path) -> dict[str, Any]:
        """Writes the version, and its twin where it has one, below a directory.

        Args:
          directory: an empty one.

        Returns:
          The summary.
        """
        name, version = self.config.name, int(time.time())
        ranker = self._load_ranker()
        model, change = self._model(directory / _QUANTISED)
        bundle = directory / name / str(version)
        indexes = {bundle: self.indexed.saved_model}
        if self.indexed.twin.exists():
            indexes[directory / _TWIN / name / str(version)] = self.indexed.twin
        for place, index in indexes.items():
            self.reporter.step(f"joining model and {'index' if place == bundle else 'twin'}")
            signatures = self._write(model, index, ranker, place)
        shutil.rmtree(directory / _QUANTISED, ignore_errors=True)
        verified = self._verify(list(indexes), signatures, ranker)
        foreign = foreign_ops(bundle)
        return {
            "name": name,
            "version": version,
            "size_bytes": sum(file.stat().st_size for file in bundle.rglob("*") if file.is_file()),
            "prepared": str(self.prepared.path.resolve()),
            "foreign_ops": foreign,
            "servers": servers_of(foreign),
            "verified": {str(place.relative_to(directory)): one for place, one in verified.items()},
            **change,
            **({"ranker_knows": ranker.known} if ranker else {}),
        }

    @cached_property
    def _data(self) -> PreparedData:
        return PreparedData(self.prepared.path)

    @cached_property
    def _catalogue(self) -> Catalogue:
        changed = self.indexed.catalogue
        return Catalogue(changed if changed.exists() else self._data.catalogue)

    @cached_property
    def _queries(self) -> QuerySet:
        return QuerySet.read_held_out(self._data, self.trained.queries)

    @cached_property
    def _live(self) -> LiveItems | None:
        """How items change while they are served."""
        slots = self.config.live_items
        if slots and self.indexed.embeddings() is None:
            raise UserError(
                f"serving.live_items: {slots}, but the model scores a fixed catalogue and cannot "
                "embed other items; leave it out, or take a retrieval template"
            )
        since = self.indexed.manifest.summary.get("since", self.prepared.began)
        return LiveItems(slots, self._item, since) if slots else None

    @property
    def _item(self) -> str:
        return self.prepared.manifest.summary["item"]

    @property
    def _k(self) -> int:
        return min(self.config.k, len(self._catalogue))

    def _load_ranker(self) -> BundleRanker | None:
        live = self._live is not None
        if self.config.ranker is None:
            return None
        self.reporter.step("loading the ranker")
        return load_ranker(
            self.config.ranker,
            self.trained,
            self._catalogue,
            self._item,
            self._queries,
            live,
        )

    def _model(self, quantised: Path) -> tuple[Path, dict[str, Any]]:
        """The model to serve, and what fewer bytes change of it."""
        trained, precision = self.trained.saved_model, self.config.precision
        if precision == TRAINED:
            return trained, {}
        self.reporter.step(f"saving the model in {precision}")
        save_quantised(self.trained, self.prepared, precision, quantised)

        def tell(model: str, done: int, total: int) -> None:
            self.reporter.progress(f"ranking for each shopper: {model} model", done, total)

        change = measure_change(
            self.trained, quantised, self.prepared, self.indexed, self.protocol, tell
        )
        sizes = {"trained": stored_bytes(trained), "quantised": stored_bytes(quantised)}
        return quantised, {"model_bytes": sizes, "metric_change": change}

    def _write(
        self, model: Path, index: Path, ranker: BundleRanker | None, version: Path
    ) -> Signatures:
        """Writes a version with its warm-up requests, and says what its signatures take."""
        config, catalogue, slots = self.config, self._catalogue, self.config.live_items
        item_filter = reranker = None
        if config.filters:
            new = _new(catalogue, self._data)
            item_filter = ItemFilter(catalogue.table, config.filters, new, slots)
        if self.rules:
            reranker = Reranker(self.rules, catalogue, self.indexed.embeddings(), slots)
        ids = list(catalogue.ids)
        signatures = export_bundle(
            model,
            index,
            ids,
            self._k,
            version,
            item_filter,
            reranker,
            self._live,
            ranker.in_graph(slots) if ranker else None,
        )
        write_warmup(version, config.name, _warmup(self._queries, ids[: self._k], signatures))
        return signatures

    def _verify(
        self, versions: Sequence[Path], signatures: Signatures, ranker: BundleRanker | None
    ) -> dict[Path, list[dict[str, Any]]]:
        """Stores requests with versions, and says how near answers are to what is expected."""
        self.reporter.step("comparing its answers with the trained model's")
        stored = expected_answers(
            self.trained,
            self.indexed,
            self._catalogue,
            self._item,
            self._queries,
            self._k,
            self.rules,
            signatures,
            ranker,
        )
        return {version: _verified(version, self.config, stored) for version in versions}


def _verified(
    version: Path, config: ServingConfig, stored: Sequence[StoredRequest]
) -> list[dict[str, Any]]:
    tolerance = TOLERANCES[config.precision]
    write_requests(version, config.name, [one._replace(tolerance=tolerance) for one in stored])
    checked = verify(version)
    try:
        refuse_faults(version, checked)
    except UserError as error:
        if config.precision == TRAINED:
            raise
        raise UserError(
            f"{error}; or its weights need more than {config.precision}, which serving.precision "
            "says"
        ) from None
    return [one._asdict() for one in checked]


def _new(catalogue: Catalogue, data: PreparedData) -> np.ndarray:
    """Which items no training event names: `[items]` bool."""
    rows = Catalogue(data.catalogue).rows(catalogue.ids)
    return (rows < 0) | (data.item_counts(TRAIN)[rows] == 0)


def _warmup(
    queries: QuerySet, items: Sequence[str], signatures: Signatures
) -> list[tuple[str, dict[str, Any]]]:
    """Real queries of one shopper each, and one of all these shoppers together."""
    some = QuerySet(queries.table.slice(0, _WARMUP_REQUESTS))
    requests = []
    for batch in (*some.batches(1), some):
        features = batch.inputs(batch.features)
        given = {**features, K: np.int32(len(items)), NEW_ITEMS: np.int32(1)}
        given[ITEMS] = np.array([items] * len(batch), object)
        for name in (RECOMMEND, FILTERED, DEFAULT, RANK, EXPLAIN):
            specs = signatures.get(name, {})
            missing = {item: spec for item, spec in specs.items() if item not in given}
            nothing = feature_inputs(missing, [{}] * len(batch))
            known = {item: value for item, value in given.items() if item in specs}
            if specs:
                requests.append((name, {**known, **nothing}))
    # Changes of no items: the first real one is then as fast as all others.
    changes = [name for name in (PUT_ITEMS, REMOVE_ITEMS) if name in signatures]
    return requests + [(name, feature_inputs(signatures[name], [])) for name in changes]
