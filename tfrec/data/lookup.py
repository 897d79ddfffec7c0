"""Raw values -> transformed ones, by the fitted graph."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import tensorflow as tf
import tensorflow_transform as tft

from tfrec.data.query_set import client_tensor
from tfrec.features import FeatureSpec, Vector
from tfrec.features.signature import sparse_inputs
from tfrec.features.spec import MODEL_ROLES

_BATCH_ROWS = 65_536


class Lookup:
    """Runs whole columns through the transform graph, each distinct string once."""

    def __init__(self, spec: FeatureSpec, transform: Path) -> None:
        """Loads the fitted transform."""
        self._spec = spec
        self._transform = tft.TFTransformOutput(str(transform))
        self._layer = self._transform.transform_features_layer()

    def __call__(self, name: str, column: pa.Array) -> pa.Array:
        """Transforms a feature's raw values.

        Args:
          name: the feature.
          column: `[rows]` as `cast_feature` makes them.

        Returns:
          `[rows]`: whole numbers or floats, or lists of them.
        """
        feature = self._spec[name]
        if feature.role not in MODEL_ROLES:
            return column
        if isinstance(feature, Vector):
            column = column.fill_null([0.0] * feature.dim)
        if pa.types.is_string(column.type):
            distinct = column.fill_null("").dictionary_encode()
            return self._run(name, distinct.dictionary).take(distinct.indices)
        starts = range(0, max(len(column), 1), _BATCH_ROWS)
        return pa.concat_arrays([self._run(name, column.slice(s, _BATCH_ROWS)) for s in starts])

    def _run(self, name: str, column: pa.Array) -> pa.Array:
        inputs = sparse_inputs({name: tf.constant(client_tensor(column))})
        transformed = self._layer(inputs)[name]
        if isinstance(transformed, tf.SparseTensor):
            ragged = tf.RaggedTensor.from_sparse(transformed)
            offsets = pa.array(ragged.row_splits.numpy(), pa.int32())
            return pa.ListArray.from_arrays(offsets, pa.array(ragged.flat_values.numpy()))
        values = transformed.numpy()
        if values.ndim == 1:
            return pa.array(values)
        offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel()))
