"""a trained model + its index -> a bundle that TensorFlow Serving loads."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.data.catalogue import Catalogue
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.retrieval.filters import ItemFilter
from tfrec.retrieval.reranking import Reranker, Rules
from tfrec.serving.config import ServingConfig
from tfrec.serving.export import EXCLUDE, K, export_bundle, write_warmup
from tfrec.serving.op_audit import foreign_ops, servers_of
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.index import ItemIndex
from tfrec.stages.reporter import Reporter
from tfrec.stages.train import TrainedModel

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
    """Joins model and index into one SavedModel with warm-up requests.

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
      the operations that are not TensorFlow's own, and the servers that can run it.

    Raises:
      UserError: if the index is of another model, or the filters or rules do not fit the catalogue.
    """
    reporter = reporter or Reporter()
    if indexed.manifest.inputs["train"] != trained.manifest.id:
        raise UserError(
            f"{indexed.path}: was built from another model than {trained.path}; run the index "
            "stage again"
        )

    def make(directory: Path) -> dict[str, Any]:
        data = PreparedData(prepared.path)
        catalogue = Catalogue(data.catalogue)
        version = int(time.time())
        queries = QuerySet.read_held_out(data, trained.queries)
        requests = _warmup(queries, min(config.k, len(catalogue)))
        new = data.item_counts(TRAIN) == 0
        item_filter = ItemFilter(catalogue.table, config.filters, new) if config.filters else None
        reranker = Reranker(rules, catalogue, indexed.embeddings()) if rules else None
        indexes = {directory: indexed.saved_model}
        if indexed.twin.exists():
            indexes[directory / _TWIN] = indexed.twin
        for folder, index in indexes.items():
            reporter.step(f"joining model and {'twin' if folder.name == _TWIN else 'index'}")
            bundle = folder / config.name / str(version)
            ids = list(catalogue.ids)
            model = trained.saved_model
            export_bundle(model, index, ids, config.k, bundle, item_filter, reranker)
            write_warmup(bundle, config.name, requests)
        bundle = directory / config.name / str(version)
        foreign = foreign_ops(bundle)
        return {
            "name": config.name,
            "version": version,
            "size_bytes": sum(file.stat().st_size for file in bundle.rglob("*") if file.is_file()),
            "prepared": str(prepared.path.resolve()),
            "foreign_ops": foreign,
            "servers": servers_of(foreign),
        }

    section = config.model_dump(mode="json", exclude={"root"})
    if rules:
        section["reranking"] = rules.model_dump(mode="json")
    inputs = {"train": trained.manifest.id, "index": indexed.manifest.id}
    return ServingBundle(produce("export", section, inputs, output, make).path)


def _warmup(queries: QuerySet, k: int) -> list[dict[str, Any]]:
    """Real queries of one shopper each, and one of all these shoppers together."""
    some = QuerySet(queries.table.slice(0, _WARMUP_REQUESTS))
    batches = [*some.batches(1), some]
    return [
        {
            **batch.inputs(batch.features),
            K: np.int32(k),
            EXCLUDE: np.full([len(batch), 0], "", object),
        }
        for batch in batches
    ]
