"""prepared data -> a page of statistics for people."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfrec.config import validate
from tfrec.data.config import DataConfig
from tfrec.data.counts import Counts
from tfrec.data.prepared import PreparedData
from tfrec.data.report import write_report
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.stages.artifact import Artifact
from tfrec.stages.reporter import Reporter


def report(prepared: Artifact, output: Path, reporter: Reporter | None = None) -> Path:
    """Writes a page that shows what prepared data hold.

    Args:
      prepared: the prepared data.
      output: file of the page.
      reporter: hears of the steps.

    Returns:
      The file.

    Raises:
      UserError: if there are no whole prepared data, or another stage made the directory.
    """
    reporter = reporter or Reporter()
    manifest = prepared.manifest
    if manifest.stage != "prepare":
        raise UserError(
            f"{prepared.path}: made by the stage {manifest.stage!r}; give a directory that "
            "`tfrec prepare` made, or an experiment's YAML"
        )
    summary = manifest.summary
    counts = {
        name: Counts(read, summary["rejected"][name], summary["dropped"][name])
        for name, read in summary["read"].items()
    }
    write_report(
        PreparedData(prepared.path),
        validate(DataConfig, manifest.config["data"], "data"),
        validate(FeatureSpec, _with_embeddings(manifest.config["features"]), "features"),
        counts,
        output,
        reporter.progress,
    )
    return output


def _with_embeddings(features: Mapping[str, Any]) -> dict[str, Any]:
    """Adds the sizes of tables, which the data do not depend on and the manifest leaves out."""
    return {
        name: {**feature, "embedding": 1} if _has_table(feature) else feature
        for name, feature in features.items()
    }


def _has_table(feature: Mapping[str, Any]) -> bool:
    kinds = ("categorical", "multi_categorical", "text")
    return feature["kind"] in kinds or bool(feature.get("buckets"))
