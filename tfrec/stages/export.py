"""a trained model + its index -> a bundle that TensorFlow Serving loads."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.data.catalogue import Catalogue
from tfrec.data.prepared import PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.serving.config import ServingConfig
from tfrec.serving.export import EXCLUDE, K, export_bundle, write_warmup
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.index import ItemIndex
from tfrec.stages.reporter import Reporter
from tfrec.stages.train import TrainedModel

_WARMUP_REQUESTS = 10


class ServingBundle(Artifact):
    """A SavedModel below `name/version/`, ready to be copied below a model root."""

    @property
    def version(self) -> Path:
        """The version's directory."""
        summary = self.manifest.summary
        return self.path / summary["name"] / str(summary["version"])

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
) -> ServingBundle:
    """Joins model and index into one SavedModel with warm-up requests.

    Args:
      config: the `serving` section.
      prepared: prepared data.
      trained: the model.
      indexed: its index.
      output: directory of the artefact.
      reporter: hears of the steps.

    Returns:
      The artefact; its version is the moment of export, in seconds since 1970.
    """
    reporter = reporter or Reporter()

    def make(directory: Path) -> dict[str, Any]:
        data = PreparedData(prepared.path)
        catalogue = Catalogue(data.catalogue)
        version = int(time.time())
        bundle = directory / config.name / str(version)
        reporter.step("joining model and index")
        export_bundle(
            trained.saved_model, indexed.saved_model, list(catalogue.ids), config.k, bundle
        )
        reporter.step("writing warm-up requests")
        queries = QuerySet.read_held_out(data)
        write_warmup(bundle, config.name, _warmup(queries, min(config.k, len(catalogue))))
        size = sum(file.stat().st_size for file in bundle.rglob("*") if file.is_file())
        return {
            "name": config.name,
            "version": version,
            "size_bytes": size,
            "prepared": str(prepared.path.resolve()),
        }

    section = config.model_dump(mode="json", exclude={"root"})
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
