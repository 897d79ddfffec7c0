"""Where everything is in a directory of prepared data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from tfrec.config import Section
from tfrec.data.splits import EXAMPLE_PARTS, TEST, TRAIN, VALIDATION

__all__ = ["TEST", "TRAIN", "VALIDATION", "ExampleFiles", "Part", "PreparedData"]

ExampleKind = Literal["events", "labelled", "lists", "sequences", "pairs"]
"""One Example per event; per impression or negative, with a label; per list of those; per history;
or per pair of items."""

QueryKind = Literal["shoppers", "items"]
"""What is asked: what a shopper chooses next, or what goes with an item."""


class Part(Section):
    """What a part of the data holds.

    Attributes:
      examples: number of its events that count.
      shoppers: number of shoppers with such an event.
      first: time of the first one, in seconds since 1970; none without an event.
      last: time of the last one.
      files: name of a file of Examples -> number of its Examples.
      labelled: name of a file of labelled Examples -> number of its Examples; none without labels.
      lists: the same of Examples that hold, serialised, the labelled Examples of a list.
      sequences: the same of Examples that together hold every event once, in their histories.
      pairs: the same of Examples of an item and another one that goes with it.
    """

    examples: int
    shoppers: int
    first: int | None
    last: int | None
    files: dict[str, int]
    labelled: Mapping[str, int] = {}
    lists: Mapping[str, int] = {}
    sequences: Mapping[str, int] = {}
    pairs: Mapping[str, int] = {}


@dataclass(frozen=True)
class ExampleFiles:
    """Files of Examples of one kind, each in random order.

    Attributes:
      folder: their directory.
      files: name of a file -> number of its Examples.
    """

    folder: Path
    files: Mapping[str, int]

    @property
    def examples(self) -> int:
        """The number of Examples in all files."""
        return sum(self.files.values())


_PARTS = TypeAdapter(dict[str, Part])


@dataclass(frozen=True)
class PreparedData:
    """A directory of prepared data.

    Attributes:
      path: the directory.
    """

    path: Path

    @property
    def catalogue(self) -> Path:
        """Parquet table of the items: id, name and raw features, one row per item."""
        return self.path / "catalogue.parquet"

    @property
    def events(self) -> Path:
        """Directory of cleaned events: Parquet, whole shoppers per file, ordered in time."""
        return self.path / "events"

    @property
    def promotions(self) -> Path:
        """Directory of cleaned promotions: Parquet, all of an item in one file."""
        return self.path / "promotions"

    @property
    def transform(self) -> Path:
        """Directory of the fitted TensorFlow Transform graph."""
        return self.path / "transform"

    @property
    def items(self) -> Path:
        """Directory of transformed Examples of the items, in the order of the catalogue."""
        return self.path / "items"

    @property
    def profiles(self) -> Path:
        """Directory of Parquet files: each shopper's raw features after the last event."""
        return self.path / "profiles"

    @property
    def pairs(self) -> Path:
        """Directory of Parquet files: the items that complement each item."""
        return self.path / "pairs"

    @property
    def rejects(self) -> Path:
        """Directory of rejected rows as lines of JSON, each with its file, line and reason."""
        return self.path / "rejects"

    @property
    def schema(self) -> Path:
        """Schema of the raw features, as a text protocol buffer."""
        return self.path / "schema.pbtxt"

    @property
    def parts(self) -> dict[str, Part]:
        """The parts `train`, `validation` and `test`."""
        return _PARTS.validate_json((self.path / "parts.json").read_bytes())

    def write_parts(self, parts: dict[str, Part]) -> None:
        """Keeps what the parts hold for later stages."""
        (self.path / "parts.json").write_bytes(_PARTS.dump_json(parts, indent=2))

    def item_counts(self, part: str) -> np.ndarray:
        """Number of each item's examples in a part: `[items]` int64."""
        return _read_counts(self._item_counts, part)

    def write_item_counts(self, counts: np.ndarray) -> None:
        """Keeps the number of each item's examples by part, `[parts, items]`."""
        _write_counts(self._item_counts, counts)

    @property
    def _item_counts(self) -> Path:
        return self.path / "item_counts.parquet"

    def target_counts(self, part: str) -> np.ndarray:
        """Number of a part's pairs that lead to each item: `[items]` int64."""
        return _read_counts(self._target_counts, part)

    def write_target_counts(self, counts: np.ndarray) -> None:
        """Keeps the number of pairs that lead to each item by part, `[parts, items]`."""
        _write_counts(self._target_counts, counts)

    @property
    def _target_counts(self) -> Path:
        return self.path / "target_counts.parquet"

    def examples(self, part: str) -> Path:
        """Directory of transformed Examples of the events of `train`, `validation` or `test`."""
        return self.path / "examples" / part

    def labelled(self, part: str) -> Path:
        """Directory of transformed Examples with labels, for rankers."""
        return self.path / "labelled" / part

    def lists(self, part: str) -> Path:
        """Directory of lists of labelled Examples, for rankers that compare items."""
        return self.path / "lists" / part

    def sequences(self, part: str) -> Path:
        """Directory of transformed Examples whose histories are learned whole."""
        return self.path / "sequences" / part

    def pair_examples(self, part: str) -> Path:
        """Directory of transformed Examples of an item and another one that goes with it."""
        return self.path / "pair_examples" / part

    def example_files(self, part: str, kind: ExampleKind = "events") -> ExampleFiles:
        """The files of a part's Examples of one kind."""
        described = self.parts[part]
        return {
            "events": ExampleFiles(self.examples(part), described.files),
            "labelled": ExampleFiles(self.labelled(part), described.labelled),
            "lists": ExampleFiles(self.lists(part), described.lists),
            "sequences": ExampleFiles(self.sequences(part), described.sequences),
            "pairs": ExampleFiles(self.pair_examples(part), described.pairs),
        }[kind]

    def queries(self, part: str, of: QueryKind = "shoppers") -> Path:
        """Directory of Parquet files: raw queries of `validation` or `test`, and their answers."""
        return self.path / ("queries" if of == "shoppers" else "item_queries") / part


def _read_counts(file: Path, part: str) -> np.ndarray:
    return pq.read_table(file, columns=[part])[part].to_numpy()


def _write_counts(file: Path, counts: np.ndarray) -> None:
    pq.write_table(pa.table(dict(zip(EXAMPLE_PARTS, counts, strict=True))), file)
