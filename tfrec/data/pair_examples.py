"""Transformed Examples of an item and another one of its basket or session."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa

from tfrec.data import beam as beams
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig, Pairs
from tfrec.data.events import event_files
from tfrec.data.example_writer import BATCH_ROWS, ExampleWriter
from tfrec.data.pairing import draw_pairs
from tfrec.data.prepared import PreparedData
from tfrec.data.shard import Shard
from tfrec.data.splits import EXAMPLE_PARTS, Split
from tfrec.features import FeatureSpec, Role
from tfrec.features.parsing import ITEM_ROW, REPEAT, SOURCE, TIME, WEIGHT

_COUNTS = "counts"


def write_pair_examples(
    config: DataConfig,
    pairs: Pairs,
    spec: FeatureSpec,
    columns: Columns,
    split: Split,
    output: PreparedData,
) -> None:
    """Writes Examples of pairs, each part's from its own events, and counts their targets.

    An Example leads from one item of a basket or session, its source, to another, its target. It
    has the target's features by their names and the source's behind `SOURCE`, and the target's
    `_item_row` and its event's `_time` and `_repeat`. All weigh the same. See `draw_pairs` for how
    many there are.

    Args:
      config: the `data` section.
      pairs: its `pairs` section.
      spec: the features.
      columns: where their values are.
      split: divides the events.
      output: holds catalogue, events, transform and parts; the files go there too.
    """
    for part in EXAMPLE_PARTS:
        output.pair_examples(part).mkdir(parents=True)
    files = list(enumerate(event_files(output.events)))

    def build(pipeline: beam.Pipeline) -> None:
        written = (
            pipeline
            | beam.Create(files, reshuffle=False)
            | beam.Reshuffle()
            | beam.ParDo(_Write(config, pairs, spec, columns, split, output)).with_outputs(
                _COUNTS, main="files"
            )
        )
        _ = (
            written.files
            | beam.Map(lambda file: (None, file))
            | beam.GroupByKey()
            | beam.MapTuple(lambda _, files: _summarise(files, output))
        )
        _ = written[_COUNTS] | beam.CombineGlobally(_add) | beam.Map(output.write_target_counts)

    beams.run(config.beam, build)


class _Written(NamedTuple):
    """One file of Examples."""

    part: str
    file: str
    examples: int


class _Write(ExampleWriter):
    """A numbered file of cleaned events -> its pairs, and how many lead to each item."""

    def __init__(
        self,
        config: DataConfig,
        pairs: Pairs,
        spec: FeatureSpec,
        columns: Columns,
        split: Split,
        output: PreparedData,
    ) -> None:
        super().__init__(spec, columns, output)
        self._config, self._pairs, self._split = config, pairs, split

    def process(self, numbered_file: tuple[int, Path]) -> Iterator[_Written]:
        number, file = numbered_file
        name = file.stem.removeprefix("events-")
        shard = Shard(file, self._columns, self._catalogue, self._config, self._split)
        counts = []
        for place, part in enumerate(EXAMPLE_PARTS):
            random = np.random.default_rng([self._config.seed, number, place])
            codes = self._catalogue.group_codes
            drawn = draw_pairs(shard, part, self._config, self._pairs, codes, random)
            path = self._output.pair_examples(part) / f"{part}-{name}.tfrecord"
            self.save(path, self._batches(shard, part, *drawn))
            targets = shard.item_rows[drawn[1]]
            counts.append(np.bincount(targets, minlength=len(self._catalogue)))
            yield _Written(part, path.name, len(targets))
        yield beam.pvalue.TaggedOutput(_COUNTS, np.stack(counts))

    def _batches(
        self, shard: Shard, part: str, sources: np.ndarray, targets: np.ndarray
    ) -> Iterator[dict[str, pa.Array]]:
        of_event = {
            name: self._look_up(name, shard.value(name))
            for name in self._spec.of_role("item", "weight")
            if name not in self._items
        }
        view = shard.view(part)
        repeats = view.repeats[np.searchsorted(view.rows, targets)] & (shard.weights[targets] > 0)
        for start in range(0, len(targets), BATCH_ROWS):
            chunk = slice(start, start + BATCH_ROWS)
            source, target = sources[chunk], targets[chunk]
            yield {
                ITEM_ROW: pa.array(shard.item_rows[target]),
                TIME: pa.array(shard.times[target]),
                REPEAT: pa.array(repeats[chunk].astype(np.int64)),
                WEIGHT: pa.array(np.ones(len(target), np.float32)),
                **self._take(shard, of_event, target, "item", "weight"),
                **{
                    SOURCE + name: column
                    for name, column in self._take(shard, of_event, source, "item").items()
                },
            }

    def _take(
        self, shard: Shard, of_event: Mapping[str, pa.Array], rows: np.ndarray, *roles: Role
    ) -> dict[str, pa.Array]:
        """Transformed features of some events and their items."""
        events, items = pa.array(rows), pa.array(shard.item_rows[rows])
        return {
            name: of_event[name].take(events) if name in of_event else self._items[name].take(items)
            for name in self._spec.of_role(*roles)
        }


def _summarise(files: Iterable[_Written], output: PreparedData) -> None:
    """Adds what was written to what is known of the parts."""
    counted: dict[str, dict[str, int]] = {part: {} for part in EXAMPLE_PARTS}
    for part, file, examples in sorted(files):
        counted[part][file] = examples
    parts = output.parts.items()
    output.write_parts({p: known.model_copy(update={"pairs": counted[p]}) for p, known in parts})


def _add(counts: Iterable[np.ndarray]) -> np.ndarray:
    return sum(counts, np.zeros((), np.int64))
