"""Writing columns of transformed values as files of Examples."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns
from tfrec.data.lookup import Lookup
from tfrec.data.prepared import PreparedData
from tfrec.features import FeatureSpec
from tfrec.features.parsing import EXAMPLES

BATCH_ROWS = 4096
"""Examples that are best encoded at a time."""

_BATCH_LISTS = 512


class ExampleWriter(beam.DoFn):
    """What files of Examples need: the catalogue, the transform graph and the encoder."""

    def __init__(self, spec: FeatureSpec, columns: Columns, output: PreparedData) -> None:
        """Takes the features, where their values are, and where catalogue and transform are."""
        self._spec, self._columns, self._output = spec, columns, output

    def setup(self) -> None:
        """Reads the catalogue and transforms its features."""
        self._catalogue = Catalogue(self._output.catalogue)
        self._look_up = Lookup(self._spec, self._output.transform)
        self._items = {
            name: self._look_up(name, self._catalogue.value(name, place))
            for name, place in self._columns.places.items()
            if place in ("item", "catalogue")
        }

    def save(self, path: Path, batches: Iterator[Mapping[str, pa.Array]]) -> None:
        """Writes a file of Examples from batches of columns: lists, or single values."""
        write_records(path, batches)

    def save_lists(
        self, path: Path, batches: Iterator[Mapping[str, pa.Array]], lengths: np.ndarray
    ) -> None:
        """Writes a file of lists: Examples that hold so many of the batches' own, serialised."""
        self.save(path, _in_lists(chain.from_iterable(_encoded(batches)), lengths))


def write_records(path: Path, batches: Iterator[Mapping[str, pa.Array]]) -> None:
    """Writes a file of Examples from batches of columns: lists, or single values."""
    scratch = path.with_suffix(".tmp")
    with tf.io.TFRecordWriter(str(scratch)) as file:
        for examples in _encoded(batches):
            for example in examples:
                file.write(example)
    scratch.rename(path)


def _encoded(batches: Iterator[Mapping[str, pa.Array]]) -> Iterator[list[bytes]]:
    """Encodes each batch while the one before is written; the encoder lets go of the GIL."""
    encode = RecordBatchToExamplesEncoder().encode
    with ThreadPoolExecutor(1) as encoder:
        encoding = None
        for columns in batches:
            arrays = [_as_lists(column) for column in columns.values()]
            batch = pa.RecordBatch.from_arrays(arrays, list(columns))
            before, encoding = encoding, encoder.submit(encode, batch)
            if before:
                yield before.result()
        if encoding:
            yield encoding.result()


def _in_lists(examples: Iterator[bytes], lengths: np.ndarray) -> Iterator[dict[str, pa.Array]]:
    for start in range(0, len(lengths), _BATCH_LISTS):
        offsets = np.r_[0, np.cumsum(lengths[start : start + _BATCH_LISTS])]
        members = pa.array(list(islice(examples, int(offsets[-1]))), pa.binary())
        yield {EXAMPLES: pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), members)}


def _as_lists(column: pa.Array) -> pa.Array:
    """The encoder takes lists: a column of single values becomes one of lists of one."""
    if pa.types.is_list(column.type):
        return column
    return pa.ListArray.from_arrays(pa.array(np.arange(len(column) + 1, dtype=np.int32)), column)
