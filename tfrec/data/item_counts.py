"""How many examples of each part an item has."""

from collections.abc import Iterable
from pathlib import Path

import apache_beam as beam
import numpy as np

from tfrec.data import beam as beams
from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.events import event_files
from tfrec.data.prepared import PreparedData
from tfrec.data.shard import Shard
from tfrec.data.splits import EXAMPLE_PARTS, Split


def count_items(
    config: DataConfig, columns: Columns, split: Split, items: int, output: PreparedData
) -> None:
    """Counts each item's examples by part.

    Args:
      config: the `data` section.
      columns: where the features' values are.
      split: divides the events.
      items: rows of the catalogue.
      output: holds catalogue and events; the counts go there too.
    """

    def build(pipeline: beam.Pipeline) -> None:
        _ = (
            pipeline
            | beam.Create(event_files(output.events), reshuffle=False)
            | beam.Reshuffle()
            | beam.Map(_count, columns, config, split, output.catalogue, items)
            | beam.CombineGlobally(_add, items)
            | beam.Map(output.write_item_counts)
        )

    beams.run(config.beam, build)


def _count(
    file: Path, columns: Columns, config: DataConfig, split: Split, catalogue: Path, items: int
) -> np.ndarray:
    shard = Shard(file, columns, Catalogue(catalogue), config, split)
    return np.stack(
        [
            np.bincount(shard.item_rows[shard.of_part(part)], minlength=items)
            for part in EXAMPLE_PARTS
        ]
    )


def _add(counts: Iterable[np.ndarray], items: int) -> np.ndarray:
    return sum(counts, np.zeros([len(EXAMPLE_PARTS), items], np.int64))
