"""raw events + catalogue -> prepared data."""

import hashlib
import json
from pathlib import Path
from typing import Any

from apache_beam.io.filesystems import FileSystems
from google.protobuf import text_format

from tfrec.data.beam import Counts
from tfrec.data.catalogue import prepare_catalogue
from tfrec.data.columns import Columns, find_columns
from tfrec.data.config import DataConfig
from tfrec.data.events import check_time_type, first_and_last, item_counts, prepare_events
from tfrec.data.examples import write_examples
from tfrec.data.prepared import PreparedData
from tfrec.data.sources import column_types, find_files
from tfrec.data.split import time_windows
from tfrec.data.transform import fit_transform
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.schema import raw_schema
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.reporter import Reporter

_MODEL_ONLY = {"embedding", "unknown_share"}


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
      UserError: if a source or a column is missing, or too many rows are rejected.
    """
    reporter = reporter or Reporter()
    events = find_files("data.events.source", config.events.source)
    items = find_files("data.items.source", config.items.source)
    event_types = column_types("data.events.source", events)
    item_types = column_types("data.items.source", items)
    columns = find_columns(features, config, event_types, item_types)
    check_time_type(config.events, event_types)

    def make(directory: Path) -> dict[str, Any]:
        data = PreparedData(directory)
        data.rejects.mkdir()
        data.schema.write_text(text_format.MessageToString(raw_schema(features)))
        reporter.step("reading the catalogue")
        item_rows = prepare_catalogue(config, columns.item, items, data)
        _check_share("data.items", item_rows, config.max_reject_share, data)
        reporter.step("cleaning events")
        event_rows = prepare_events(config, columns.event, events, data)
        _check_share("data.events", event_rows, config.max_reject_share, data)
        windows = time_windows(config.split, *first_and_last(data.events))
        data.write_windows(windows)
        reporter.step("fitting the transform on training rows")
        fit_transform(config, features, columns, windows["train"], data)
        reporter.step("writing transformed Examples")
        write_examples(config, features, columns, windows, data)
        return _summary(columns, data, item_rows, event_rows)

    decisive = {
        name: feature.model_dump(exclude=_MODEL_ONLY) for name, feature in features.root.items()
    }
    return produce(
        "prepare",
        {"data": config.model_dump(mode="json"), "features": decisive},
        {"events": _fingerprint(events), "items": _fingerprint(items)},
        output,
        make,
    )


def _check_share(field: str, rows: Counts, limit: float, data: PreparedData) -> None:
    if rows.rejected_share <= limit:
        return
    rejected = sum(rows.rejected.values())
    reasons = ", ".join(f"{count:,} x {reason}" for reason, count in rows.rejected.items())
    files = sorted(data.rejects.glob(f"{field.removeprefix('data.')}*"))
    lines = [line for file in files for line in file.read_text().splitlines()[:3]]
    raise UserError(
        f"{field}: {rejected:,} of {rows.read:,} rows rejected, more than data.max_reject_share "
        f"{limit}: {reasons}; for example {'; '.join(lines[:3])}; all are in {data.rejects}"
    )


def _summary(
    columns: Columns, data: PreparedData, item_rows: Counts, event_rows: Counts
) -> dict[str, Any]:
    items = item_rows.read - sum(item_rows.rejected.values())
    counts = {
        name: item_counts(data.events, window, items) for name, window in data.windows.items()
    }
    return {
        "user": columns.user_id,
        "item": columns.item_id,
        "items": items,
        "items_seen_in_training": int((counts["train"] > 0).sum()),
        "events_read": event_rows.read,
        "rejected": {"events": event_rows.rejected, "items": item_rows.rejected},
        "events": {name: int(count.sum()) for name, count in counts.items()},
    }


def _fingerprint(files: list[str]) -> str:
    """Digest of the files' names, sizes and times: a changed source is another one."""
    matches = [match for file in files for match in FileSystems.match([file])[0].metadata_list]
    seen = [(m.path, m.size_in_bytes, m.last_updated_in_seconds) for m in matches]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()
