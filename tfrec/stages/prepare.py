"""raw events + catalogue -> prepared data."""

import shutil
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.examples import write_examples
from tfrec.data.item_queries import write_item_queries
from tfrec.data.pair_examples import write_pair_examples
from tfrec.data.pairs import write_pairs
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.data.preprocessing import preprocessing_digest
from tfrec.data.splits import only_new
from tfrec.data.transform import fit_transform
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.links import link
from tfrec.stages.artifact import MANIFEST, Artifact, produce
from tfrec.stages.clean import (
    CleanedEvents,
    clean_into,
    decisive_sections,
    find_sources,
    split_of,
)
from tfrec.stages.going_on import GOES_ON, Learned
from tfrec.stages.reporter import Reporter


def prepare(
    config: DataConfig, features: FeatureSpec, output: Path, reporter: Reporter | None = None
) -> Artifact:
    """Cleans and splits the shop's data and writes what the other stages read.

    Args:
      config: the `data` section.
      features: the `features` section.
      output: directory of the artefact.
      reporter: hears of the steps.

    Returns:
      The artefact; `PreparedData` says what is in it.

    Raises:
      UserError: if a source or a column is missing, a file cannot be read, or too many rows are
        rejected.
    """
    heard = reporter or Reporter()
    sources = find_sources(config)
    columns = sources.columns(features, config)

    def make(directory: Path) -> dict[str, Any]:
        data = PreparedData(directory)
        counts = clean_into(data, config, features, sources, columns, heard)
        heard.step("fitting the transform on training rows")
        fit_transform(config, features, columns, split_of(config, data), data)
        _write(data, config, features, columns, heard)
        return _summary(config, data, counts)

    sections = decisive_sections(config, features)
    made_of = sources.fingerprints() | preprocessing_digest(config.preprocessing)
    return produce("prepare", sections, made_of, output, make)


def prepare_cleaned(
    config: DataConfig,
    features: FeatureSpec,
    cleaned: CleanedEvents,
    transform: Path,
    output: Path,
    reporter: Reporter | None = None,
    goes_on: Learned | None = None,
) -> Artifact:
    """Prepares events that `clean` has cleaned, by a transform that was fitted elsewhere.

    Args:
      config: the `data` section.
      features: the `features` section.
      cleaned: the events; files are shared with them where the file system can.
      transform: directory of the fitted TensorFlow Transform graph.
      output: directory of the artefact.
      reporter: hears of the steps.
      goes_on: what a model has learned from that is to learn on: then only later events are trained
        on, and all are still seen, counted and in vocabularies.

    Returns:
      The same as `prepare`.

    Raises:
      UserError: if `goes_on` has seen all training events.
    """

    def make(directory: Path) -> dict[str, Any]:
        data = PreparedData(directory)
        own = shutil.ignore_patterns(MANIFEST)
        shutil.copytree(cleaned.path, directory, False, own, link, dirs_exist_ok=True)
        shutil.copytree(transform, data.transform, copy_function=link)
        _write(data, config, features, cleaned.columns, reporter or Reporter(), goes_on)
        summary = cleaned.manifest.summary
        counts = {kind: summary[kind] for kind in ("read", "rejected", "dropped")}
        sequel = {GOES_ON: goes_on._asdict()} if goes_on else {}
        return _summary(config, data, counts) | {"began": cleaned.began} | sequel

    sections = decisive_sections(config, features)
    made_of = {"clean": cleaned.manifest.id, "transform": str(transform)}
    if goes_on:
        made_of[GOES_ON] = f"{goes_on.model} {goes_on.until}"
    return produce("prepare", sections, made_of, output, make)


def _write(
    data: PreparedData,
    config: DataConfig,
    features: FeatureSpec,
    columns: Columns,
    reporter: Reporter,
    goes_on: Learned | None = None,
) -> None:
    """Writes what is learned from."""
    split = split_of(config, data)
    trained_on = only_new(split, goes_on.until) if goes_on else split
    reporter.step("writing transformed Examples")
    write_examples(config, features, columns, trained_on, data)
    if goes_on and not data.parts[TRAIN].examples:
        raise UserError(
            f"pipeline.warm_start: no training events since {_day(goes_on.until)}, up to where the "
            "served model has learned; run again when there are new days"
        )
    if config.pairs:
        reporter.step("finding complementary items")
        write_pairs(config, config.pairs, columns, split, data)
    if config.pairs and config.pairs.examples:
        wanted = config, config.pairs, features, columns
        reporter.step("writing pairs of items")
        write_pair_examples(*wanted, trained_on, data)
        write_item_queries(*wanted, split, data)


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M} UTC"


def _summary(
    config: DataConfig, data: PreparedData, counts: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "user": config.user,
        "item": config.item,
        "items": len(Catalogue(data.catalogue)),
        "items_seen_in_training": int((data.item_counts(TRAIN) > 0).sum()),
        **counts,
        "examples": {name: part.examples for name, part in data.parts.items()},
    }
