"""Requests of recorded shoppers, as they would ask a server."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfrec.data.prepared import PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.retrieval.filters import LEAST, MOST, NEW_ITEMS, ONLY
from tfrec.serving.feature_inputs import feature_inputs
from tfrec.serving.names import EXCLUDE, K
from tfrec.serving.signature import Signature, TensorSpec
from tfrec.stages.artifact import Artifact

MOST_REQUESTS = 1000


def recorded_requests(
    prepared: Artifact, name: str, signature: Signature, k: int
) -> list[dict[str, np.ndarray]]:
    """Reads held-out queries as inputs of a signature, each for one shopper or item.

    Args:
      prepared: prepared data.
      name: the signature's.
      signature: what the model takes.
      k: how many items to ask for, where it can be said.

    Returns:
      Inputs of up to 1000 requests. Nothing is excluded, and all items may be recommended.

    Raises:
      UserError: if the signature takes what queries do not have.
    """
    of_items = prepared.manifest.summary["item"] in signature.inputs
    held_out = QuerySet.read_held_out(
        PreparedData(prepared.path), "items" if of_items else "shoppers"
    )
    features = sorted(signature.inputs.keys() & set(held_out.features))
    asked = {item: spec for item, spec in signature.inputs.items() if item not in features}
    for item in asked:
        if item not in (K, EXCLUDE, NEW_ITEMS) and not item.startswith((ONLY, LEAST, MOST)):
            raise UserError(
                f"{name}.{item}: is not recorded in {prepared.path}; ask a signature that takes "
                "the features of queries, e.g. recommend"
            )
    question = _question(asked, k)
    some = QuerySet(held_out.table.slice(0, MOST_REQUESTS))
    return [{**query.inputs(features), **question} for query in some.batches(1)]


def _question(specs: Mapping[str, TensorSpec], k: int) -> dict[str, np.ndarray]:
    """The inputs beside features: `k` items, no conditions."""
    single = {K: np.array(k, np.int32), NEW_ITEMS: np.array(0, np.int32)}
    conditions = {
        name: tf.TensorSpec(spec.shape, spec.dtype)
        for name, spec in specs.items()
        if name not in single
    }
    given = {name: value for name, value in single.items() if name in specs}
    return {**given, **feature_inputs(conditions, [{}])}
