"""What the features hold, part by part."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns, Place
from tfrec.data.shard import Shard
from tfrec.data.splits import EXAMPLE_PARTS, TRAIN
from tfrec.features import (
    Categorical,
    Feature,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Sequence,
    Text,
    Vector,
)

StringFeature: TypeAlias = Categorical | MultiCategorical | Text

_TOP = 8
_BINS = 40
_OUTER = 0.005
_TRAIN = EXAMPLE_PARTS.index(TRAIN)


@dataclass(frozen=True)
class Strings:
    """A feature of strings, counted in all examples.

    Attributes:
      missing: `[parts]` share of examples without a value; NaN of no example.
      distinct: number of different values in training.
      top: the commonest values in training.
      shares: `[top, parts]` their shares of all values; NaN where there is no value.
      unknown: `[parts]` share of the values that the fitted vocabulary, or the range of whole
        numbers, does not hold; None for what is hashed.
    """

    missing: np.ndarray
    distinct: int
    top: list[str]
    shares: np.ndarray
    unknown: np.ndarray | None

    @property
    def widest(self) -> float:
        """The largest of the shares; 1 of none."""
        return float(np.nanmax(self.shares)) if self.top else 1.0


@dataclass(frozen=True)
class Numbers:
    """A feature of numbers, or the lengths of one that holds several, measured in the sample.

    Attributes:
      measure: what the numbers are where they are not the values themselves.
      missing: `[parts]` share of the sample without a value; NaN of no example.
      least: smallest number in the training sample; NaN of none, as are the next two.
      median: its median.
      most: its largest number.
      edges: `[bins + 1]` of the histogram, which leaves out half a per cent at either end.
      shares: `[parts, bins]` shares of each part's numbers; NaN where there is none.
    """

    measure: str
    missing: np.ndarray
    least: float
    median: float
    most: float
    edges: np.ndarray
    shares: np.ndarray


@dataclass(frozen=True)
class Distribution:
    """One feature and what it holds."""

    name: str
    feature: Feature
    place: Place | None
    values: Strings | Numbers


class StringCounts:
    """Counts the values of all features of strings, by part."""

    def __init__(self, spec: FeatureSpec, columns: Columns, catalogue: Catalogue) -> None:
        """Takes the features and where their values are."""
        self._catalogue, self._columns = catalogue, columns
        names = [name for name, f in spec.root.items() if isinstance(f, StringFeature)]
        self._owners = {name: spec[spec.table_of(name)] for name in names}
        self._tallies = {name: _Tally() for name in names}

    def add(self, shard: Shard) -> None:
        """Counts a shard's examples; values of the catalogue are counted by item at the end."""
        examples = np.arange(len(EXAMPLE_PARTS)) == shard.parts[:, None]  # [events, parts]
        examples &= shard.weights[:, None] > 0
        for name, tally in self._tallies.items():
            if self._columns.places[name] not in ("item", "catalogue"):
                tally.add(shard.value(name), examples)

    def finish(
        self, item_counts: np.ndarray, vocabularies: Mapping[str, pa.Array]
    ) -> dict[str, Strings]:
        """Sums up.

        Args:
          item_counts: `[parts, items]`, each item's examples.
          vocabularies: feature -> the strings that its fitted vocabulary holds.

        Returns:
          Feature -> what it holds.
        """
        for name, tally in self._tallies.items():
            place = self._columns.places[name]
            if place in ("item", "catalogue"):
                values = self._catalogue.value(name, place)
                tally.add(values, item_counts[: len(EXAMPLE_PARTS)].T)
        return {
            name: tally.sum_up(self._owners[name], vocabularies.get(name))
            for name, tally in self._tallies.items()
        }


class _Tally:
    """Counts of one feature's values."""

    def __init__(self) -> None:
        self._rows, self._missing = np.zeros([2, len(EXAMPLE_PARTS)])
        self._pieces: list[pa.Table] = []

    def add(self, values: pa.Array, examples: np.ndarray) -> None:
        """Counts `[rows]` strings or lists of them, each of `[rows, parts]` examples."""
        if pa.types.is_list(values.type):
            lengths = pc.list_value_length(values).fill_null(0).to_numpy()
            rows, flat = np.repeat(np.arange(len(values)), lengths), values.flatten()
        else:
            lengths = values.is_valid().to_numpy(zero_copy_only=False)
            rows, flat = np.flatnonzero(lengths), values.drop_null()
        self._rows += examples.sum(axis=0)
        self._missing += examples[lengths == 0].sum(axis=0)
        encoded = flat.dictionary_encode()
        codes, size = encoded.indices.to_numpy(), len(encoded.dictionary)
        counts = [np.bincount(codes, part[rows], minlength=size) for part in examples.T]
        columns = dict(zip(EXAMPLE_PARTS, counts, strict=True))
        self._pieces.append(pa.table({"value": encoded.dictionary, **columns}))

    def sum_up(self, feature: Feature, vocabulary: pa.Array | None) -> Strings:
        table = pa.concat_tables(self._pieces).group_by("value")
        table = table.aggregate([(part, "sum") for part in EXAMPLE_PARTS]).combine_chunks()
        counts = np.stack([table[f"{part}_sum"].to_numpy() for part in EXAMPLE_PARTS], axis=1)
        top = np.argsort(-counts[:, _TRAIN], kind="stable")[:_TOP]
        top = top[counts[top, _TRAIN] > 0]
        known = _known(feature, table["value"].combine_chunks(), vocabulary)
        return Strings(
            missing=_ratio(self._missing, self._rows),
            distinct=int((counts[:, _TRAIN] > 0).sum()),
            top=table["value"].take(pa.array(top)).to_pylist(),
            shares=_ratio(counts[top], counts.sum(axis=0)),
            unknown=None if known is None else _ratio(counts[~known].sum(0), counts.sum(0)),
        )


def number_distributions(spec: FeatureSpec, samples: Mapping[str, pa.Table]) -> dict[str, Numbers]:
    """Measures the numeric features, and the lengths of sequences and vectors.

    Args:
      spec: the features.
      samples: part -> its sample.

    Returns:
      Feature -> what it holds.
    """
    return {
        name: _numbers(_measure(feature), [_measured(feature, t[name]) for t in samples.values()])
        for name, feature in spec.root.items()
        if not isinstance(feature, StringFeature)
    }


def _measure(feature: Feature) -> str:
    names: dict[type, str] = {Sequence: "values per example", Vector: "Euclidean length"}
    return names.get(type(feature), "")


def _measured(feature: Feature, column: pa.ChunkedArray) -> np.ndarray:
    """One number per example, NaN where it has none: `[rows]` float64."""
    column = column.combine_chunks()
    if isinstance(feature, Numeric):
        return column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    lengths = pc.list_value_length(column).fill_null(0).to_numpy()
    measured = lengths.astype(np.float64)
    if isinstance(feature, Vector):
        rows = np.repeat(np.arange(len(column)), lengths)
        squares = column.flatten().to_numpy(zero_copy_only=False).astype(np.float64) ** 2
        measured = np.sqrt(np.bincount(rows, squares, minlength=len(column)))
    measured[lengths == 0] = np.nan
    return measured


def _numbers(measure: str, parts: list[np.ndarray]) -> Numbers:
    present = [part[~np.isnan(part)] for part in parts]
    together = np.concatenate(present)
    edges = _edges(together)
    train = present[_TRAIN] if len(present[_TRAIN]) else np.array([np.nan])
    return Numbers(
        measure=measure,
        missing=_ratio(
            np.array([len(part) - len(there) for part, there in zip(parts, present, strict=True)]),
            np.array([len(part) for part in parts]),
        ),
        least=float(train.min()),
        median=float(np.median(train)),
        most=float(train.max()),
        edges=edges,
        shares=np.stack(
            [_ratio(np.histogram(p, edges)[0], np.array(len(p), float)) for p in present]
        ),
    )


def _edges(values: np.ndarray) -> np.ndarray:
    """Bins of equal width between the outermost half per cents; of whole numbers, if few, each."""
    if not len(values):
        return np.array([0.0, 1.0])
    low, high = np.quantile(values, [_OUTER, 1 - _OUTER])
    if low == high:
        return np.array([low - 0.5, high + 0.5])
    if high - low <= 2 * _BINS and (values == np.rint(values)).all():
        step = -(-(high - low + 1) // _BINS)
        return np.arange(np.floor(low), np.ceil(high) + step + 1, step) - 0.5
    return np.linspace(low, high, _BINS + 1)


def _known(feature: Feature, values: pa.Array, vocabulary: pa.Array | None) -> np.ndarray | None:
    """Which values have a row of their own, `[values]`; None where every value may share one."""
    if not isinstance(feature, Categorical | MultiCategorical):
        return None
    if feature.lookup in ("hash", "dynamic"):
        return None
    if vocabulary is not None:
        return pc.is_in(values, vocabulary).to_numpy(zero_copy_only=False)
    digits = pc.match_substring_regex(values, r"^[0-9]{1,18}$")
    numbers = pc.if_else(digits, values, None).cast(pa.int64())
    return pc.less(numbers, feature.rows).fill_null(False).to_numpy(zero_copy_only=False)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Shares; NaN of nothing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return part / whole
