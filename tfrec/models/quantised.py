"""A trained template whose tables and dense layers are kept in fewer bytes."""

import tensorflow as tf
import tf_keras

from tfrec.embeddings.quantised import Precision
from tfrec.embeddings.quantised_kernel import QuantisedKernel
from tfrec.embeddings.quantised_table import QuantisedTable
from tfrec.models.base import Template

_DENSE = (tf_keras.layers.Dense, tf_keras.layers.EinsumDense)


def quantise_model(model: Template, precision: Precision) -> None:
    """Rounds the embedding tables and the kernels of dense layers of a model, in place.

    Biases, norms and what a template holds besides stay as they are: they are short, and add up.

    Args:
      model: a trained template; it can be used and saved afterwards, but not trained.
      precision: `float16` or `int8`.
    """
    tables = model.embedding.group_tables
    for name, table in tables.items():
        tables[name] = QuantisedTable(table, precision)
    kernels: dict[int, QuantisedKernel] = {}  # layers can share one
    for layer in model.submodules:
        if isinstance(layer, _DENSE) and isinstance(layer.kernel, tf.Variable):
            kernel = layer.kernel
            made = kernels.get(id(kernel)) or QuantisedKernel(
                kernel, precision, layer.compute_dtype
            )
            kernels[id(kernel)] = layer.kernel = made
