"""What the failures of a training mean: a lost cluster, a full disk, data that cannot be read."""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tensorflow as tf

from tfrec.data.prepared import TRAIN
from tfrec.errors import UserError

if TYPE_CHECKING:  # which takes seconds to import, and a server needs none
    from tfrec.training.job import TrainingJob

_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
_UNREADABLE = (
    tf.errors.DataLossError,
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
    tf.errors.FailedPreconditionError,
    tf.errors.UnknownError,
)
# TensorFlow keeps the system's words for an error, not its number.
_FULL = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
# What a server that was replaced by another one at its address answers.
_REPLACED = ("unknown device", "unable to find the relevant tensor remote_handle")


class ClusterLostError(Exception):
    """Training cannot go on with these processes, but can with new ones and the last checkpoint."""


def translate(error: Exception, job: "TrainingJob") -> Exception:
    """Says what an error of TensorFlow means for the training that it ended.

    Args:
      error: what was raised.
      job: what was being trained.

    Returns:
      A `ClusterLostError`, a `UserError` that names the directory or the file and the remedy, or
      `error` itself where it is none of these.
    """
    cause = getattr(error, "original_exception", error)  # of the coordinator's wrappers
    text = str(cause)
    if any(words in text for words in _FULL):
        return UserError(
            f"{job.output}: {_gist(text, _FULL)}; free some space: the last whole checkpoint is "
            "kept, and `tfrec train CONFIG --resume` goes on behind it"
        )
    if isinstance(cause, _LOST) or any(words in text.lower() for words in _REPLACED):
        return ClusterLostError(f"lost a task of the cluster: {_gist(text)}")
    if isinstance(cause, _UNREADABLE):
        unreadable = next(_unreadable_files(job), None)
        if unreadable is not None:
            return UserError(unreadable)
    return error


def _unreadable_files(job: "TrainingJob") -> Iterator[str]:
    """Reads all training examples; a line for each file that cannot be read."""
    source = job.example_files(TRAIN)
    for name, examples in source.files.items():
        path = source.folder / name
        remedy = "remove the prepared data and run `tfrec prepare CONFIG` again"
        try:
            found = _count(path)
        except tf.errors.OpError as error:
            yield f"{path}: cannot be read ({_gist(error.message)}); {remedy}"
        else:
            if found != examples:
                yield f"{path}: holds {found} examples instead of {examples}; {remedy}"


def _count(path: Path) -> int:
    records = tf.data.TFRecordDataset(str(path)).batch(4096)
    return int(records.reduce(tf.constant(0, tf.int64), lambda n, r: n + tf.size(r, tf.int64)))


def _gist(text: str, words: Sequence[str] = ("",)) -> str:
    """The first line with one of the words, without the graph's node and operation around it."""
    said = [line.strip() for line in text.splitlines() if any(word in line for word in words)]
    return re.sub(
        r"^\(\d\) [A-Z_]+:\s+|\{\{.*?\}\} | \[Op:.*", "", next(filter(None, said), "no message")
    )
