"""One pass over the cleaned events, file by file, that gathers every figure of the report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet

from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import CALENDAR, Columns, Place
from tfrec.data.config import DataConfig
from tfrec.data.counts import Counts
from tfrec.data.events import event_files, first_and_last
from tfrec.data.prepared import TEST, TRAIN, VALIDATION, PreparedData
from tfrec.data.report.activity import Activity
from tfrec.data.report.distributions import (
    Distribution,
    Numbers,
    StringCounts,
    Strings,
    number_distributions,
)
from tfrec.data.report.drift import Drift, measure_drift
from tfrec.data.report.lengths import ShopperLengths
from tfrec.data.report.parts import PartSizes
from tfrec.data.report.popularity import Popularity
from tfrec.data.report.rows import SourceRows, source_rows
from tfrec.data.report.sample import Sample
from tfrec.data.shard import Shard
from tfrec.data.splits import EXAMPLE_PARTS, PARTS, Split, make_split
from tfrec.features import Categorical, FeatureSpec, MultiCategorical

SAMPLE = {TRAIN: 100_000, VALIDATION: 50_000, TEST: 50_000}
"""Examples to draw of each part, about; training is halved to show what chance does."""

_ROLES = ("user", "context", "item", "label", "weight", "time")


@dataclass(frozen=True)
class Figures:
    """All that the report shows.

    Attributes:
      config: the `data` section that the data were prepared with.
      rows: what became of each source's rows.
      split: how events are divided.
      first: time of the first event, in seconds since 1970.
      last: time of the last one.
      items: number of items in the catalogue.
      activity: events over time.
      parts: what the parts hold.
      popularity: how events spread over items.
      lengths: histories, baskets and sessions.
      features: what the features hold, by role.
      drift: how the parts differ, by feature.
      sampled: part -> number of examples in its sample.
    """

    config: DataConfig
    rows: list[SourceRows]
    split: Split
    first: int
    last: int
    items: int
    activity: Activity
    parts: PartSizes
    popularity: Popularity
    lengths: ShopperLengths
    features: list[Distribution]
    drift: list[Drift]
    sampled: Mapping[str, int]


def gather(
    data: PreparedData,
    config: DataConfig,
    spec: FeatureSpec,
    counts: Mapping[str, Counts],
    progress: Callable[[str, int, int], None],
) -> Figures:
    """Gathers the figures, with the events of one file in memory at a time.

    Args:
      data: the prepared data.
      config: the `data` section they were prepared with.
      spec: their features.
      counts: source -> rows read, rejected and dropped.
      progress: is told what is done, how much of it and of how much.

    Returns:
      The figures.
    """
    catalogue = Catalogue(data.catalogue)
    columns = _columns(data, config, spec)
    first, last = first_and_last(data.events)
    split = make_split(config.split, first, last, config.seed)
    shares = {part: min(SAMPLE[part] / max(p.examples, 1), 1.0) for part, p in data.parts.items()}
    activity, parts = Activity(first, last), PartSizes(len(catalogue))
    lengths = ShopperLengths(config.session_gap)
    strings = StringCounts(spec, columns, catalogue)
    sample = Sample(spec, columns, shares, config.seed)
    gatherers: tuple[_Gatherer, ...] = (activity, parts, lengths, strings, sample)
    files = event_files(data.events)
    for done, file in enumerate(files, 1):
        shard = Shard(file, columns, catalogue, config, split)
        for gatherer in gatherers:
            gatherer.add(shard)
        progress("reading events", done, len(files))
    samples = {part: sample.of(part) for part in EXAMPLE_PARTS}
    progress("comparing the parts", 0, 1)
    drift = measure_drift(spec, samples[TRAIN], samples, config.seed)
    progress("comparing the parts", 1, 1)
    held: dict[str, Strings | Numbers] = {
        **strings.finish(parts.item_counts, _vocabularies(data, spec)),
        **number_distributions(spec, samples),
    }
    names = sorted(spec.root, key=lambda name: _ROLES.index(spec[name].role))
    return Figures(
        config=config,
        rows=source_rows(counts, data.rejects),
        split=split,
        first=first,
        last=last,
        items=len(catalogue),
        activity=activity,
        parts=parts,
        popularity=Popularity(parts.item_counts[PARTS.index(TRAIN)]),
        lengths=lengths,
        features=[
            Distribution(name, spec[name], columns.places.get(name), held[name]) for name in names
        ],
        drift=drift,
        sampled={part: len(table) for part, table in samples.items()},
    )


class _Gatherer(Protocol):
    """Takes in the events file by file."""

    def add(self, shard: Shard) -> None: ...


def _columns(data: PreparedData, config: DataConfig, spec: FeatureSpec) -> Columns:
    """Finds the places of the features in what preparation left."""
    in_catalogue = pa.parquet.read_schema(data.catalogue).names
    in_events = pa.parquet.read_schema(event_files(data.events)[0]).names
    places: dict[str, Place] = {}
    for name, feature in spec.columns.items():
        if name == config.user:
            places[name] = "user"
        elif name == config.item:
            places[name] = "item"
        elif feature.role == "item":
            places[name] = "catalogue" if name in in_catalogue else "promotion"
        elif name in in_events:
            places[name] = "event"
        else:
            places[name] = "calendar" if name in CALENDAR else "behaviour"
    return Columns(places)


def _vocabularies(data: PreparedData, spec: FeatureSpec) -> dict[str, pa.Array]:
    """The strings that the fitted vocabularies hold."""
    # TensorFlow takes seconds to import; a reader of the figures does not need it.
    import tensorflow_transform as tft

    transform = tft.TFTransformOutput(str(data.transform))
    owners = {name: spec.table_of(name) for name in spec.columns}
    return {
        name: pa.array(transform.vocabulary_by_name(owner), pa.binary()).cast(pa.string())
        for name, owner in owners.items()
        if isinstance(looked := spec[owner], Categorical | MultiCategorical)
        and looked.lookup == "vocabulary"
    }
