"""Raw Examples of events: what later steps learn from, before it is transformed."""

from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa

from tfrec.data import beam as beams
from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.events import event_files
from tfrec.data.example_writer import BATCH_ROWS, write_records
from tfrec.data.prepared import PreparedData
from tfrec.data.raw_columns import as_lists, raw_column
from tfrec.data.shard import Shard
from tfrec.data.splits import EXAMPLE_PARTS, Split
from tfrec.features import FeatureSpec


def write_raw_examples(
    config: DataConfig,
    spec: FeatureSpec,
    columns: Columns,
    split: Split,
    data: PreparedData,
    output: Path,
) -> list[str]:
    """Writes each event that counts as an Example of its raw features; sequences are left out.

    Args:
      config: the `data` section.
      spec: the features.
      columns: where their values are.
      split: divides the events.
      data: holds catalogue, events and counts of items.
      output: directory; files go to `Split-PART` below it, as TFX finds them.

    Returns:
      The parts that have an Example.
    """
    parts = [part for part in EXAMPLE_PARTS if data.item_counts(part).any()]
    folders = {part: output / f"Split-{part}" for part in parts}
    for folder in folders.values():
        folder.mkdir(parents=True)

    def build(pipeline: beam.Pipeline) -> None:
        _ = (
            pipeline
            | beam.Create(event_files(data.events), reshuffle=False)
            | beam.Reshuffle()
            | beam.ParDo(_WriteRaw(config, spec, columns, split, data.catalogue, folders))
        )

    beams.run(config.beam, build)
    return parts


class _WriteRaw(beam.DoFn):
    """A file of cleaned events -> a file of Examples for each part."""

    def __init__(
        self,
        config: DataConfig,
        spec: FeatureSpec,
        columns: Columns,
        split: Split,
        catalogue: Path,
        folders: dict[str, Path],
    ) -> None:
        self._config, self._spec, self._columns = config, spec, columns
        self._split, self._path, self._folders = split, catalogue, folders

    def setup(self) -> None:
        self._catalogue = Catalogue(self._path)

    def process(self, file: Path) -> None:
        shard = Shard(file, self._columns, self._catalogue, self._config, self._split)
        for part, folder in self._folders.items():
            write_records(folder / f"{file.stem}.tfrecord", self._batches(shard, part))

    def _batches(self, shard: Shard, part: str) -> Iterator[dict[str, pa.Array]]:
        view = shard.view(part)
        places = np.searchsorted(view.rows, shard.of_part(part))
        columns = {
            name: as_lists(raw_column(view, name, places), feature)
            for name, feature in self._spec.columns.items()
        }
        for start in range(0, len(places), BATCH_ROWS):
            yield {name: column.slice(start, BATCH_ROWS) for name, column in columns.items()}
