"""Reading TFRecords of `tf.train.Example`: every column is lists, as they are there."""

import struct
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import IO

import google_crc32c
import numpy as np
import pyarrow as pa
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from tfrec.data.formats.rows import BadRow, FormatError, bad_row, batches, mixed_column
from tfrec.data.formats.stream import open_file

_BATCH_RECORDS = 16_384
_BATCH_BYTES = 16 << 20
_SAMPLE_RECORDS = 200
_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")


def column_types(file: str) -> dict[str, pa.DataType]:
    """Reads the features of the first Examples: name -> a list type."""
    with open_file(file) as stream:
        columns, _ = _decode(list(islice(_records(stream), _SAMPLE_RECORDS)))
    return {name: column.type for name, column in columns.items()}


def read(file: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch | BadRow]:
    """Reads features of Examples by their names.

    Args:
      file: path of the file.
      columns: names of the features.

    Yields:
      Batches of lists, null where an Example lacks the feature; lists of text where a feature is
      of several types. A row's line is the number of its record. And the records that are no
      Examples.

    Raises:
      FormatError: if a checksum is wrong or the file ends within a record.
    """
    line = 1
    with open_file(file) as stream:
        for records in _batched(_records(stream)):
            found, bad = _decode(records)
            lines = np.delete(np.arange(line, line + len(records)), bad)
            missing = pa.nulls(len(lines))
            yield from batches({name: found.get(name, missing) for name in columns}, lines)
            for number in bad:
                yield bad_row(file, line + number, "not a tf.train.Example", records[number])
            line += len(records)


def _records(stream: IO[bytes]) -> Iterator[bytes]:
    """Source: tensorflow/core/lib/io/record_writer.h describes the format."""
    while header := stream.read(_LENGTH.size + _CHECKSUM.size):
        (size,) = _LENGTH.unpack(_checked(header, _LENGTH.size))
        yield _checked(stream.read(size + _CHECKSUM.size), size)


def _checked(content: bytes, size: int) -> bytes:
    """Takes the checksum off the end of a part of a record and compares it."""
    if len(content) != size + _CHECKSUM.size:
        raise FormatError("ends within a record")
    part = content[:size]
    crc = google_crc32c.value(part)
    (expected,) = _CHECKSUM.unpack_from(content, size)
    if ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF != expected:
        raise FormatError("a checksum is wrong, so that it is damaged or no TFRecord file")
    return part


def _batched(records: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch, size = [], 0
    for record in records:
        batch.append(record)
        size += len(record)
        if len(batch) == _BATCH_RECORDS or size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _decode(records: Sequence[bytes]) -> tuple[dict[str, pa.Array], list[int]]:
    """Decodes Examples; also says which records are none."""
    decoder = ExamplesToRecordBatchDecoder()
    try:
        batch = decoder.DecodeBatch(records)
    except RuntimeError:
        return _decode_each(decoder, records)
    return dict(zip(batch.schema.names, batch.columns, strict=True)), []


def _decode_each(
    decoder: ExamplesToRecordBatchDecoder, records: Sequence[bytes]
) -> tuple[dict[str, pa.Array], list[int]]:
    rows, bad = [], []
    for number, record in enumerate(records):
        try:
            rows.append(decoder.DecodeBatch([record]).to_pydict())
        except RuntimeError:
            bad.append(number)
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row[name][0] if name in row else None for row in rows] for name in names}
    return {name: mixed_column(values) for name, values in columns.items()}, bad
