"""Queries as Examples: what a client would send, beside what was relevant then."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from tfrec.data.query_set import QuerySet

RELEVANT_IDS = "_relevant_ids"
"""The column of ids of the items that were relevant, each once."""

_BATCH_ROWS = 1024
_Representation = schema_pb2.TensorRepresentation


def write_query_examples(
    queries: QuerySet, ids: np.ndarray, others: Mapping[str, np.ndarray], file: Path
) -> schema_pb2.Schema:
    """Writes one Example for each query, as a signature that takes raw features expects them.

    Nothing is missing from an Example: where a client would send an empty string, NaN or a list
    that is filled up, so does it.

    Args:
      queries: who asks.
      ids: ids of the catalogue's items by row, `[items]`.
      others: name -> `[queries]` strings, columns to add.
      file: TFRecord file to write.

    Returns:
      The schema with which the Examples are read: tensors `[batch]` or `[batch, values]` of the
      features and of `others`, and a sparse one of `_relevant_ids`.
    """
    columns = queries.inputs(queries.features) | {
        name: np.asarray(values, object) for name, values in others.items()
    }
    arrays = {name: _lists_of(values) for name, values in columns.items()}
    arrays[RELEVANT_IDS] = _relevant_ids(queries, ids)
    batch = pa.RecordBatch.from_arrays(list(arrays.values()), list(arrays))
    encode = RecordBatchToExamplesEncoder().encode
    file.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for start in range(0, len(queries), _BATCH_ROWS):
            for example in encode(batch.slice(start, _BATCH_ROWS)):
                writer.write(example)
    return _schema(columns)


def _lists_of(values: np.ndarray) -> pa.ListArray:
    """Lists of one length, as the encoder takes them, of `[n]` or `[n, length]` values."""
    length = 1 if values.ndim == 1 else values.shape[1]
    offsets = np.arange(len(values) + 1, dtype=np.int32) * length
    kind = pa.binary() if values.dtype == object else pa.float32()
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel(), kind))


def _relevant_ids(queries: QuerySet, ids: np.ndarray) -> pa.ListArray:
    shoppers, items = np.unique(np.stack(queries.relevant), axis=1)
    ends = np.cumsum(np.bincount(shoppers, minlength=len(queries)))
    offsets = np.r_[0, ends].astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(ids[items], pa.binary()))


def _schema(columns: Mapping[str, np.ndarray]) -> schema_pb2.Schema:
    schema = schema_pb2.Schema()
    tensors = schema.tensor_representation_group[""].tensor_representation
    for name, values in columns.items():
        kind = schema_pb2.BYTES if values.dtype == object else schema_pb2.FLOAT
        column = schema.feature.add(name=name, type=kind)
        column.presence.min_fraction = 1
        dims = [schema_pb2.FixedShape.Dim(size=size) for size in values.shape[1:]]
        column.shape.dim.extend(dims)
        shape = schema_pb2.FixedShape(dim=dims)
        dense = _Representation.DenseTensor(column_name=name, shape=shape)
        tensors[name].CopyFrom(_Representation(dense_tensor=dense))
    schema.feature.add(name=RELEVANT_IDS, type=schema_pb2.BYTES)
    sparse = _Representation.VarLenSparseTensor(column_name=RELEVANT_IDS)
    tensors[RELEVANT_IDS].CopyFrom(_Representation(varlen_sparse_tensor=sparse))
    return schema
