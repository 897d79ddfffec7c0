"""raw events + catalogue -> cleaned events: the first half of preparation."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apache_beam.io.filesystems import FileSystems
from google.protobuf import text_format

from tfrec.data.catalogue import Catalogue, prepare_catalogue
from tfrec.data.columns import Columns, Place, find_columns
from tfrec.data.config import DataConfig, FileSplit, Log, Source
from tfrec.data.counts import Counts
from tfrec.data.events import LogFiles, apply_minimums, first_and_last, prepare_events
from tfrec.data.item_counts import count_items
from tfrec.data.prepared import TEST, TRAIN, VALIDATION, PreparedData
from tfrec.data.promotions import prepare_promotions
from tfrec.data.sources import column_types, find_files
from tfrec.data.splits import Split, make_split
from tfrec.data.times import check_units
from tfrec.errors import UserError
from tfrec.features import Feature, FeatureSpec
from tfrec.features.schema import raw_schema
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.reporter import Reporter

_MODEL_ONLY = {"embedding", "unknown_share"}
_ENGINE_ONLY = {"beam"}
_SHARD_BYTES = 8_000_000
_MIN_SHARDS = 8


class CleanedEvents(Artifact):
    """A directory of prepared data with catalogue, promotions and events, but no Examples yet."""

    @property
    def columns(self) -> Columns:
        """Where the values of each feature are."""
        return Columns(self.manifest.summary["columns"])


def clean(
    config: DataConfig, features: FeatureSpec, output: Path, reporter: Reporter | None = None
) -> CleanedEvents:
    """Cleans the shop's data, for `prepare_cleaned` to go on with.

    Args:
      config: the `data` section.
      features: the `features` section.
      output: directory of the artefact.
      reporter: hears of the steps.

    Returns:
      The artefact.

    Raises:
      UserError: as `prepare`.
    """
    sources = find_sources(config)
    columns = sources.columns(features, config)

    def make(directory: Path) -> dict[str, Any]:
        data, heard = PreparedData(directory), reporter or Reporter()
        counts = clean_into(data, config, features, sources, columns, heard)
        return {"columns": dict(columns.places), **counts}

    sections = decisive_sections(config, features)
    return CleanedEvents(produce("clean", sections, sources.fingerprints(), output, make).path)


def decisive_sections(config: DataConfig, features: FeatureSpec) -> dict[str, Any]:
    """What of the config decides what prepared data come out."""
    decisive = {
        name: feature.model_dump(exclude=_MODEL_ONLY) for name, feature in features.root.items()
    }
    return {
        "data": config.model_dump(mode="json", exclude=_ENGINE_ONLY),
        "features": decisive,
    }


def split_of(config: DataConfig, data: PreparedData) -> Split:
    """How the cleaned events are divided."""
    return make_split(config.split, *first_and_last(data.events), config.seed)


@dataclass(frozen=True)
class Sources:
    """The files of every source."""

    logs: list[LogFiles]
    items: list[str]
    promotions: list[str]
    erased: list[str]

    def columns(self, features: FeatureSpec, config: DataConfig) -> Columns:
        """Finds the place of every feature, and checks that the files go together."""
        for log in config.events:
            paths = [path for files in self.logs if files.log is log for path in files.paths]
            check_units("data.events", paths, log.time, log.unit, log.format)
        logs = [files.columns for files in self.logs if files.part in (None, TRAIN)]
        items = column_types("data.items.source", self.items)
        promotions = {}
        if self.promotions:
            promotions = column_types("data.promotions.source", self.promotions)
        return find_columns(features, config, logs, items, promotions)

    def fingerprints(self) -> dict[str, str]:
        """Digests of the files' names, sizes and times: a changed source is another one."""
        events = [path for files in self.logs for path in files.paths]
        named = {"events": events, "items": self.items, "promotions": self.promotions}
        named |= {"erased": self.erased}
        return {name: _fingerprint(files) for name, files in named.items() if files}

    def shards(self) -> int:
        """How many files to spread the events over, so that each fits into memory."""
        size = sum(match.size_in_bytes for files in self.logs for match in _matches(files.paths))
        return max(_MIN_SHARDS, -(-size // _SHARD_BYTES))


def find_sources(config: DataConfig) -> Sources:
    """Finds the files of every source.

    Raises:
      UserError: if a source is missing.
    """
    promotions, erased = config.promotions, config.clean.erased
    return Sources(
        list(_find_logs(config)),
        find_files("data.items.source", config.items.source),
        find_files("data.promotions.source", promotions.source) if promotions else [],
        [str(erased)] if erased and erased.exists() else [],
    )


def clean_into(
    data: PreparedData,
    config: DataConfig,
    features: FeatureSpec,
    sources: Sources,
    columns: Columns,
    reporter: Reporter,
) -> dict[str, dict[str, Any]]:
    """Writes catalogue, promotions, events and counts of items to a directory.

    Args:
      data: the directory.
      config: the `data` section.
      features: the `features` section.
      sources: the files.
      columns: where the features' values are in them.
      reporter: hears of the steps.

    Returns:
      `read`, `rejected` and `dropped` rows by source.
    """
    data.rejects.mkdir()
    data.schema.write_text(text_format.MessageToString(raw_schema(features)))
    steps = _Steps(config, features, columns, sources, data)
    counts: dict[str, Counts] = {}
    reporter.step("reading the catalogue")
    counts["items"] = steps.items()
    if config.promotions and columns.at("promotion"):
        reporter.step("reading promotions")
        counts["promotions"] = steps.promotions()
    reporter.step("cleaning events")
    counts["events"] = steps.events()
    reporter.step("counting items")
    steps.item_counts()
    return {
        "read": {name: rows.read for name, rows in counts.items()},
        "rejected": {name: rows.rejected for name, rows in counts.items()},
        "dropped": {name: rows.dropped for name, rows in counts.items()},
    }


def _find_logs(config: DataConfig) -> Iterator[LogFiles]:
    split = config.split if isinstance(config.split, FileSplit) else None
    for number, log in enumerate(config.events):
        field = f"{_field(config, number)}.source"
        yield _log_files(field, log, log.source, TRAIN if split else None)
    if split and split.validation:
        field = "data.split.validation"
        yield _log_files(field, config.events[0], split.validation, VALIDATION)
    if split:
        yield _log_files("data.split.test", config.events[0], split.test, TEST)


def _field(config: DataConfig, number: int) -> str:
    return "data.events" if len(config.events) == 1 else f"data.events.{number}"


def _log_files(field: str, log: Log, source: Source, part: str | None) -> LogFiles:
    paths = find_files(field, source)
    return LogFiles(log, paths, tuple(column_types(field, paths)), part)


@dataclass(frozen=True)
class _Steps:
    """The steps of cleaning, each a Beam pipeline over files."""

    config: DataConfig
    spec: FeatureSpec
    places: Columns
    sources: Sources
    data: PreparedData

    def items(self) -> Counts:
        """Makes the catalogue."""
        features = self._features("catalogue")
        counts = prepare_catalogue(self.config, features, self.sources.items, self.data)
        return self._checked("items", counts)

    def promotions(self) -> Counts:
        """Makes the promotions."""
        features = self._features("promotion")
        counts = prepare_promotions(self.config, features, self.sources.promotions, self.data)
        return self._checked("promotions", counts)

    def events(self) -> Counts:
        """Makes the cleaned events."""
        counts = prepare_events(
            self.config,
            self._features("event"),
            self.sources.logs,
            self._features("promotion"),
            self.config.shards or self.sources.shards(),
            self.data,
        )
        self._checked("events", counts)
        counts.dropped |= apply_minimums(
            self.config, len(Catalogue(self.data.catalogue)), self.data
        ).dropped
        return counts

    def item_counts(self) -> None:
        """Counts each item's examples."""
        split = split_of(self.config, self.data)
        items = len(Catalogue(self.data.catalogue))
        count_items(self.config, self.places, split, items, self.data)
        if not self.data.item_counts(TRAIN).any():
            raise UserError("data.split: no event is left to train on; give more, or other shares")

    def _features(self, place: Place) -> dict[str, Feature]:
        return {name: self.spec[name] for name in self.places.at(place)}

    def _checked(self, source: str, rows: Counts) -> Counts:
        """Fails if more rows are rejected than the config allows."""
        limit = self.config.max_reject_share
        if rows.rejected_share <= limit:
            return rows
        rejected = sum(rows.rejected.values())
        reasons = ", ".join(f"{count:,} x {reason}" for reason, count in rows.rejected.items())
        files = sorted(self.data.rejects.glob(f"{source}-*"))
        lines = [line for file in files for line in file.read_text().splitlines()[:3]]
        raise UserError(
            f"data.{source}: {rejected:,} of {rows.read:,} rows rejected, more than "
            f"data.max_reject_share {limit}: {reasons}; for example {'; '.join(lines[:3])}; "
            f"all are in {self.data.rejects}"
        )


def _fingerprint(files: Sequence[str]) -> str:
    seen = [(m.path, m.size_in_bytes, m.last_updated_in_seconds) for m in _matches(files)]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


def _matches(files: Sequence[str]) -> list[Any]:
    return [match for file in files for match in FileSystems.match([file])[0].metadata_list]
