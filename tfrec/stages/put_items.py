"""rows of a catalogue -> items of a served model."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from tfrec.data.catalogue import ID, cast_items
from tfrec.data.config import Items
from tfrec.data.sources import LINE, BadRow, find_files, read_rows
from tfrec.errors import UserError
from tfrec.features import Feature, FeatureSpec
from tfrec.serving.client import Client
from tfrec.serving.feature_inputs import feature_inputs
from tfrec.serving.names import ITEMS, PUT_ITEMS, ROOM

_PUT_TOGETHER = 256


class ItemsPut(NamedTuple):
    """What became of the rows.

    Attributes:
      items: how many were put.
      room: how many more changes fit into the served version; None where nothing was put.
      rejected: a line for each row that cannot be right: its file, line and fault.
    """

    items: int
    room: int | None
    rejected: list[str]


def put_items(
    client: Client, model: str, config: Items, features: FeatureSpec, sources: Sequence[str]
) -> ItemsPut:
    """Adds items to a served model, or puts them in the place of those of the same ids.

    A row is all that is known of its item. Of rows that share an id the last one stays.

    Args:
      client: the server.
      model: the model's name there.
      config: the `data.items` section: which columns hold what.
      features: the features.
      sources: files, as `find_files` takes them.

    Returns:
      What became of the rows.

    Raises:
      UserError: if the served version takes no changes, or a file cannot be read.
      ServingError: if the server refuses items; those before are put.
    """
    signature = client.metadata(model).get(PUT_ITEMS)
    if signature is None:
        raise UserError(
            f"{model}: the served version takes no changes; set serving.live_items, e.g. to 4096, "
            "and export it again"
        )
    specs = {
        name: tf.TensorSpec(spec.shape, spec.dtype)
        for name, spec in signature.inputs.items()
        if name != ITEMS
    }
    rejected: list[str] = []
    known = {name: features[name] for name in specs}
    rows = {
        row[ID]: row
        for file in find_files("FILE", sources)
        for row in _read(file, config, known, rejected)
    }
    items, room = list(rows), None
    for start in range(0, len(items), _PUT_TOGETHER):
        some = items[start : start + _PUT_TOGETHER]
        inputs = feature_inputs(specs, [rows[item] for item in some])
        ids = np.array(some, object)
        answer = client.predict(model, {ITEMS: ids, **inputs}, signature=PUT_ITEMS)
        room = int(answer[ROOM])
    return ItemsPut(len(items), room, rejected)


def _read(
    file: str, config: Items, features: dict[str, Feature], rejected: list[str]
) -> Iterator[dict]:
    """The rows of a file that can be right."""
    columns = [config.id, *(config.columns.get(name, name) for name in features)]
    for batch in read_rows(file, list(dict.fromkeys(columns))):
        if isinstance(batch, BadRow):
            rejected.append(f"{batch.file}:{batch.line}: {batch.reason}")
            continue
        values, faults = cast_items(batch, config, features)
        good = pa.array([True] * len(batch))
        for reason, mask in faults.items():
            lines = batch[LINE].filter(pc.and_(mask, good)).to_pylist()
            rejected.extend(f"{file}:{line}: {reason}" for line in lines)
            good = pc.and_not(good, mask)
        yield from pa.table(values).filter(good).to_pylist()
