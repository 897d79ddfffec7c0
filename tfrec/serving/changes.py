"""What was changed of a model's items while it was served, kept for versions to come."""

import json
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.serving.feature_inputs import feature_inputs
from tfrec.serving.live_items import LiveItems
from tfrec.serving.names import ITEMS, PUT_ITEMS, REMOVE_ITEMS
from tfrec.serving.servable import Servable
from tfrec.serving.status import ServingError

logger = logging.getLogger(__name__)

CHANGES_FILE = "changes.jsonl"
_TOGETHER = 1024

Change = dict[str, Any]
"""`moment`, in seconds since 1970, `item`, and `features` by name where it was not removed."""


class Changes:
    """Applies changes of items to all loaded versions of a model, and writes them down.

    A change is in the file `changes.jsonl` in the model's base path before it is acknowledged. A
    version that is loaded later gets those that are newer than its catalogue, before it takes any
    request.
    """

    def __init__(self) -> None:
        """Begins without any version."""
        self._lock = threading.Lock()
        self._servables: list[Servable] = []

    def attach(self, servable: Servable) -> None:
        """Brings a loaded version up to date, and keeps it so.

        Args:
          servable: one whose items change.
        """
        live = LiveItems.read(servable.path)
        if live is None:
            return
        file = servable.path.parent / CHANGES_FILE
        with self._lock:
            _catch_up(servable, newest(file, live.since))
            self._servables.append(servable)
            servable.change = partial(self._make, servable)

    def detach(self, servable: Servable) -> None:
        """Lets go of a version that is unloaded."""
        with self._lock:
            self._servables = [other for other in self._servables if other is not servable]

    def _make(
        self,
        servable: Servable,
        name: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Iterable[str],
        timeout_seconds: float | None,
    ) -> dict[str, np.ndarray]:
        """Makes a change that a version is asked for."""
        with self._lock:
            changes = _described(name, inputs, time.time())
            # A version can refuse a change; so the file comes second, and still before the answer.
            values = servable.run_now(servable.signatures[name], inputs, outputs, timeout_seconds)
            _append(servable.path.parent / CHANGES_FILE, changes)
            for other in self._servables:
                if other is not servable:
                    _catch_up(other, changes)
        return values


def read_changes(file: Path) -> Iterator[Change]:
    """Reads the changes of a model's items in their order.

    Args:
      file: `changes.jsonl` in the model's base path; there may be none.

    Yields:
      Changes. A line that was cut short was never acknowledged, and is told in the log only.
    """
    if not file.exists():
        return
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                change = json.loads(line)
                yield {"moment": change["moment"], "item": change["item"], **change}
            except (ValueError, TypeError, KeyError):
                logger.warning("%s, line %d: no whole change, passed over", file, number)


def newest(file: Path, since: float) -> list[Change]:
    """Reads the last change of each item.

    Args:
      file: see `read_changes`.
      since: a moment; only later changes count.
    """
    later = (change for change in read_changes(file) if change["moment"] > since)
    return list({change["item"]: change for change in later}.values())


def _append(file: Path, changes: Iterable[Change]) -> None:
    lines = "".join(json.dumps(change) + "\n" for change in changes)
    try:
        with file.open("ab+") as opened:
            if opened.tell():
                opened.seek(-1, os.SEEK_END)
                # What was cut short when a server was killed stays on a line of its own.
                lines = lines if opened.read(1) == b"\n" else "\n" + lines
            opened.write(lines.encode())
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        raise ServingError(
            "FAILED_PRECONDITION",
            f"{file}: cannot be written ({error}), so the change would be lost with the "
            "next version; give the server a directory it may write",
        ) from error


def _described(name: str, inputs: Mapping[str, np.ndarray], moment: float) -> list[Change]:
    """A request as changes, one an item."""
    try:
        columns = {alias: _plain(values) for alias, values in inputs.items()}
    except UnicodeDecodeError as error:
        raise ServingError("INVALID_ARGUMENT", f"{name}: a string is not UTF-8: {error}") from error
    items = columns.pop(ITEMS)
    if name == REMOVE_ITEMS:
        return [{"moment": moment, "item": item} for item in items]
    if any(len(column) != len(items) for column in columns.values()):
        raise ServingError(
            "INVALID_ARGUMENT", f"{name}: {ITEMS} has {len(items)} values, and a feature has not"
        )
    return [
        {
            "moment": moment,
            "item": item,
            "features": {feature: column[row] for feature, column in columns.items()},
        }
        for row, item in enumerate(items)
    ]


def _plain(values: np.ndarray) -> list:
    """Values as JSON has them: None for a number that is missing, no strings that fill up."""
    if values.dtype == object:
        strings = np.char.decode(values.astype(bytes), "utf-8").tolist()
        return [[text for text in row if text] for row in strings] if values.ndim == 2 else strings
    return np.where(np.isnan(values), np.array(None), values.astype(object)).tolist()


def _catch_up(servable: Servable, changes: Sequence[Change]) -> None:
    """Applies changes, one of each item at most; those that find no room are told in the log."""
    removed = [change["item"] for change in changes if "features" not in change]
    put = [change for change in changes if "features" in change]
    try:
        _run(servable, REMOVE_ITEMS, removed, {})
        takes = {
            name: tf.TensorSpec(tf.TensorShape(info.tensor_shape), info.dtype)
            for name, info in servable.signatures[PUT_ITEMS].inputs.items()
            if name != ITEMS
        }
        for start in range(0, len(put), _TOGETHER):
            some = put[start : start + _TOGETHER]
            features = feature_inputs(takes, [change["features"] for change in some])
            _run(servable, PUT_ITEMS, [change["item"] for change in some], features)
    except ServingError as error:
        logger.error("%s: not all of %d changes are applied: %s", servable.path, len(put), error)


def _run(
    servable: Servable, name: str, items: Sequence[str], features: Mapping[str, np.ndarray]
) -> None:
    if items:
        ids = np.array([item.encode() for item in items], object)
        signature = servable.signatures[name]
        servable.run_now(signature, {ITEMS: ids, **features}, sorted(signature.outputs))
