"""Transformed Examples of events and items, and the raw queries and profiles beside them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from tfrec.data import beam as beams
from tfrec.data.casting import raw_type
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig, ImpressionLabels, Labels
from tfrec.data.events import event_files
from tfrec.data.example_writer import BATCH_ROWS, ExampleWriter
from tfrec.data.history import expand
from tfrec.data.labels import impression_labels, impression_lists, sample_negatives
from tfrec.data.prepared import TEST, TRAIN, VALIDATION, Part, PreparedData
from tfrec.data.queries import profile_table, query_table
from tfrec.data.shard import Shard, View
from tfrec.data.splits import EXAMPLE_PARTS, PARTS, Split
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, LABEL, REPEAT, TIME, WEIGHT, task_label


class Rows(NamedTuple):
    """What Examples are made of.

    Attributes:
      places: `[rows]` places of events in a view.
      item_rows: `[rows]` rows of the catalogue, not always those of the events.
      own: name -> `[rows]`, columns that are only theirs.
    """

    places: np.ndarray
    item_rows: np.ndarray
    own: Mapping[str, np.ndarray]

    def take(self, order: np.ndarray) -> "Rows":
        """Some of the rows, in some order."""
        own = {name: column[order] for name, column in self.own.items()}
        return Rows(self.places[order], self.item_rows[order], own)


def write_examples(
    config: DataConfig, spec: FeatureSpec, columns: Columns, split: Split, output: PreparedData
) -> None:
    """Writes what later stages read; each file of cleaned events gives one file of each kind.

    Transformed Examples of events are in random order and carry the event's `_item_row`, `_time`,
    `_repeat` and `_weight` beside its features; those of items are in the order of the catalogue.
    Where the config asks for labels, labelled Examples carry `_label` besides, and a
    `_label_TASK` for each task; lists hold them serialised, each list in an Example.
    Queries and profiles are tables of raw features (see `query_table` and `profile_table`).

    Args:
      config: the `data` section.
      spec: the features.
      columns: where their values are.
      split: divides the events.
      output: holds catalogue, events and transform; the files go there too.
    """
    folders = [output.items, output.profiles, output.queries(VALIDATION), output.queries(TEST)]
    folders += map(output.examples, EXAMPLE_PARTS)
    folders += map(output.labelled, EXAMPLE_PARTS if config.labels else ())
    with_lists = bool(config.labels and config.labels.lists)
    folders += map(output.lists, EXAMPLE_PARTS if with_lists else ())
    folders += map(output.sequences, EXAMPLE_PARTS if config.sequences else ())
    for folder in folders:
        folder.mkdir(parents=True)
    files = list(enumerate(event_files(output.events)))
    kinds = ["labelled"] * bool(config.labels) + ["lists"] * with_lists
    kinds += ["sequences"] * config.sequences

    def build(pipeline: beam.Pipeline) -> None:
        _ = (
            pipeline
            | "Files" >> beam.Create(files, reshuffle=False)
            | beam.Reshuffle()
            | beam.ParDo(_WriteEvents(config, spec, columns, split, output))
            | beam.Map(lambda written: (None, written))
            | beam.GroupByKey()
            | beam.MapTuple(lambda _, files: _summarise(list(files), output, kinds))
        )
        _ = (
            pipeline
            | "Catalogue" >> beam.Create([None], reshuffle=False)
            | beam.ParDo(_WriteItems(spec, columns, output))
        )

    beams.run(config.beam, build)


class _Written(NamedTuple):
    """One file of Examples."""

    part: str
    file: str
    examples: int
    shoppers: int
    first: int | None
    last: int | None
    labelled: int
    lists: int
    sequences: int


def _summarise(files: Iterable[_Written], output: PreparedData, kinds: Sequence[str]) -> None:
    """Adds up what is in the files of each part."""
    parts = {}
    for part in EXAMPLE_PARTS:
        ours = sorted(file for file in files if file.part == part)
        parts[part] = Part(
            examples=sum(file.examples for file in ours),
            shoppers=sum(file.shoppers for file in ours),
            first=min((file.first for file in ours if file.first is not None), default=None),
            last=max((file.last for file in ours if file.last is not None), default=None),
            files={file.file: file.examples for file in ours},
            **{kind: {file.file: getattr(file, kind) for file in ours} for kind in kinds},
        )
    output.write_parts(parts)


class _WriteItems(ExampleWriter):
    """The catalogue -> a file of Examples; what only promotions tell is missing there."""

    def process(self, _: None) -> None:
        length = len(self._catalogue)
        columns = {ITEM_ROW: pa.array(np.arange(length)), **self._items}
        for name in self._columns.at("promotion"):
            missing = pa.nulls(length, raw_type(self._spec[name]))
            columns[name] = self._look_up(name, missing)
        self.save(
            self._output.items / "items.tfrecord",
            (
                {name: column.slice(start, BATCH_ROWS) for name, column in columns.items()}
                for start in range(0, length, BATCH_ROWS)
            ),
        )


class _WriteEvents(ExampleWriter):
    """A numbered file of cleaned events -> its examples, queries and profiles."""

    def __init__(
        self,
        config: DataConfig,
        spec: FeatureSpec,
        columns: Columns,
        split: Split,
        output: PreparedData,
    ) -> None:
        super().__init__(spec, columns, output)
        self._config, self._split = config, split

    def process(self, numbered_file: tuple[int, Path]) -> Iterator[_Written]:
        number, file = numbered_file
        name = file.stem.removeprefix("events-")
        shard = Shard(file, self._columns, self._catalogue, self._config, self._split)
        self._fixed = {
            feature: self._look_up(feature, shard.value(feature))
            for feature in self._columns.at("user", "event", "promotion", "calendar")
        }
        random = np.random.default_rng([self._config.seed, number])
        for part in EXAMPLE_PARTS:
            view = shard.view(part)
            path = self._output.examples(part) / f"{part}-{name}.tfrecord"
            rows = _examples(view, random.permutation(shard.of_part(part)))
            self.save(path, self._batches(view, rows))
            labelled, lists = self._write_labels(view, part, path.name, random)
            sequences = 0
            if self._config.sequences:
                longest = max((f.last for f in self._spec.sequences.values()), default=1)
                ends = _ends_of_histories(shard, shard.of_part(part), longest)
                sequences = len(ends)
                target = self._output.sequences(part) / path.name
                whole = _examples(view, random.permutation(ends))
                self.save(target, self._batches(view, whole, by_place=True))
            yield _written(part, path.name, view, rows, labelled, lists, sequences)
            if part != TRAIN:
                queries = query_table(shard, self._spec, self._columns, part)
                pa.parquet.write_table(queries, self._output.queries(part) / f"{name}.parquet")
        gap = self._config.session_gap
        profiles = profile_table(shard, self._spec, self._columns, gap)
        pa.parquet.write_table(profiles, self._output.profiles / f"{name}.parquet")

    def _write_labels(
        self, view: View, part: str, name: str, random: np.random.Generator
    ) -> tuple[int, int]:
        """Writes the files with labels that are asked for; returns how much is in them."""
        labels, lengths = self._config.labels, np.zeros(0, np.int64)
        if labels is None:
            return 0, 0
        counts, gap = self._output.item_counts(TRAIN), self._config.session_gap
        rows, lists = _labelled(labels, view, part, counts, gap, random)
        mixed = rows.take(random.permutation(len(lists)))
        self.save(self._output.labelled(part) / name, self._batches(view, mixed))
        if labels.lists:
            order, lengths = _shuffled(lists, random)
            target = self._output.lists(part) / name
            self.save_lists(target, self._batches(view, rows.take(order)), lengths)
        return len(lists), len(lengths)

    def _batches(
        self, view: View, rows: Rows, by_place: bool = False
    ) -> Iterator[dict[str, pa.Array]]:
        sequences = {
            name: view.sequence(feature, self._values_of(feature.of, view.shard), by_place)
            for name, feature in self._spec.sequences.items()
        }
        behaviour = {
            name: self._look_up(name, pa.array(view.behaviour(name), from_pandas=True))
            for name in self._columns.at("behaviour")
        }
        for start in range(0, len(rows.places), BATCH_ROWS):
            chunk = slice(start, start + BATCH_ROWS)
            places = rows.places[chunk]
            events, items = pa.array(view.rows[places]), pa.array(rows.item_rows[chunk])
            yield {
                ITEM_ROW: items,
                **{name: pa.array(column[chunk]) for name, column in rows.own.items()},
                **{name: column.take(events) for name, column in self._fixed.items()},
                **{name: column.take(items) for name, column in self._items.items()},
                **{name: column.take(pa.array(places)) for name, column in behaviour.items()},
                **{name: lists.take(places) for name, lists in sequences.items()},
            }

    def _values_of(self, name: str, shard: Shard) -> pa.Array:
        """A category's transformed values by event, null where the raw ones are missing.

        A sequence is gathered from these: no value is looked up twice.
        """
        place = self._columns.places[name]
        if place in ("item", "catalogue"):
            missing = self._catalogue.value(name, place).is_null()
            values = _with_nulls(self._items[name], missing)
            return values.take(pa.array(shard.item_rows))
        return _with_nulls(self._fixed[name], shard.value(name).is_null())


def _ends_of_histories(shard: Shard, events: np.ndarray, longest: int) -> np.ndarray:
    """Of each shopper's events the last one, and so many before it the next."""
    shoppers = shard.numbers[events]  # ascending
    from_end = np.searchsorted(shoppers, shoppers, side="right") - 1 - np.arange(len(events))
    return events[from_end % longest == 0]


def _examples(view: View, events: np.ndarray) -> Rows:
    """Examples of events, in the order given."""
    shard = view.shard
    places = np.searchsorted(view.rows, events)
    own = {
        TIME: shard.times[events],
        REPEAT: view.repeats[places].astype(np.int64),
        WEIGHT: shard.weights[events],
    }
    return Rows(places, shard.item_rows[events], own)


def _labelled(
    config: Labels,
    view: View,
    part: str,
    item_counts: np.ndarray,
    gap: int,
    random: np.random.Generator,
) -> tuple[Rows, np.ndarray]:
    """Examples with labels of a part's events, and the list that each is of, ascending."""
    shard = view.shard
    ours = shard.parts[view.rows] == PARTS.index(part)
    item_rows = shard.item_rows[view.rows]
    if isinstance(config, ImpressionLabels):
        shown = shard.is_type((config.impression,))[view.rows] & ours
        types = {
            LABEL: config.positive,
            **{task_label(task): types for task, types in config.tasks.items()},
        }
        labels = {}
        for column, positive in types.items():
            taken = shard.is_type(positive)[view.rows] & ours
            places, labels[column] = impression_labels(
                view.users, view.times, item_rows, shown, taken, config.within
            )
        chosen = item_rows[places]
        lists = impression_lists(view.users, view.times, places, gap)
    else:
        positives = np.flatnonzero(ours & (shard.weights[view.rows] > 0))
        drawn = sample_negatives(
            view.users,
            item_rows,
            positives,
            len(item_counts),
            config.per_positive,
            item_counts**config.popularity,
            int(random.integers(2**31)),
        )
        places = np.repeat(positives, 1 + config.per_positive)
        chosen = np.c_[item_rows[positives], drawn].ravel()
        lists = np.repeat(np.arange(len(positives)), 1 + config.per_positive)
        label = np.r_[1, np.zeros(config.per_positive, np.int64)]
        labels = {LABEL: np.tile(label, len(positives))}
    # A shopper who touched every item has no negatives.
    there = chosen >= 0
    places, chosen = places[there], chosen[there]
    # What was never touched repeats nothing.
    repeats = view.repeats[places] & (chosen == item_rows[places])
    own = {
        TIME: view.times[places],
        REPEAT: repeats.astype(np.int64),
        WEIGHT: np.ones(len(places), np.float32),
        **{column: values[there] for column, values in labels.items()},
    }
    return Rows(places, chosen, own), lists[there]


def _shuffled(lists: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of lists, which stand together, with the lists in random order; and their lengths."""
    starts = np.flatnonzero(np.diff(lists, prepend=-1))
    order = random.permutation(len(starts))
    rows, offsets = expand(starts[order], np.r_[starts[1:], len(lists)][order])
    return rows, np.diff(offsets)


def _written(
    part: str, file: str, view: View, rows: Rows, labelled: int, lists: int, sequences: int
) -> _Written:
    times = rows.own[TIME]
    return _Written(
        part,
        file,
        examples=len(times),
        shoppers=len(np.unique(view.users[rows.places])),
        first=int(times.min()) if len(times) else None,
        last=int(times.max()) if len(times) else None,
        labelled=labelled,
        lists=lists,
        sequences=sequences,
    )


def _with_nulls(values: pa.Array, missing: pa.Array) -> pa.Array:
    return pa.array(values.to_numpy(), mask=missing.to_numpy(zero_copy_only=False))
