"""Checkpoints: written whole, kept few, the best one set apart."""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from tfrec.errors import UserError
from tfrec.links import link
from tfrec.training.saved_pieces import InPieces

_KEPT = 2
_BEST = "best"
_NAME = "ckpt"
_STEPS = "optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE"


class Checkpoints:
    """The checkpoints of one run.

    Servers write their own shards, which they copy first, piece by piece, so training goes on
    meanwhile. Processes that train in step must save together, but only one of them keeps what it
    wrote.
    """

    def __init__(self, state: tf.train.Checkpoint, folder: Path, kept: bool = True) -> None:
        """Keeps `state` in `folder`, and clears away what a broken write left there.

        Args:
          state: what to save.
          folder: where checkpoints are restored from, and saved to.
          kept: whether this process's checkpoints stay.
        """
        self._state, self._folder, self._kept = state, folder, kept
        self._lock = threading.Lock()
        self._manager = tf.train.CheckpointManager(
            state, str(folder), max_to_keep=_KEPT, checkpoint_name=_NAME
        )
        self.saved_at = time.monotonic()
        if kept:
            for left in folder.glob("*_temp"):
                shutil.rmtree(left)

    def restore(self) -> bool:
        """Goes back to the last checkpoint; tells whether there was one."""
        return self._manager.restore_or_initialize() is not None

    def save(self) -> Path:
        """Writes a checkpoint; the ones before stay whole if that fails.

        Returns:
          The checkpoint's prefix.
        """
        with self._lock:
            options = tf.train.CheckpointOptions(experimental_sharding_callback=InPieces())
            if self._kept:
                prefix = Path(self._manager.save(options=options))
            else:
                prefix = self._write_and_remove(options)
            self.saved_at = time.monotonic()
            return prefix

    def keep_best(self, prefix: Path) -> None:
        """Sets a checkpoint apart as the best; its files are linked, not copied."""
        if not self._kept:
            return
        best = self._folder / _BEST
        partial = best.with_name(f".{_BEST}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for file in prefix.parent.glob(f"{prefix.name}.*"):
            link(file, partial / file.name)
        shutil.rmtree(best, ignore_errors=True)
        partial.rename(best)

    def _write_and_remove(self, options: tf.train.CheckpointOptions) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder, suffix="_temp") as scratch:
            return Path(self._state.save(f"{scratch}/{_NAME}", options=options))


def latest(folder: Path, best: bool = False) -> str:
    """Finds a run's last checkpoint, or its best one.

    Args:
      folder: directory of the checkpoints.
      best: whether the best one is wanted, where one was set apart.

    Returns:
      Its prefix.

    Raises:
      UserError: if there is none.
    """
    set_apart = next((folder / _BEST).glob("*.index"), None) if best else None
    if set_apart is not None:
        return str(set_apart.with_suffix(""))
    found = tf.train.latest_checkpoint(str(folder))
    if found is None:
        raise UserError(f"{folder}: holds no whole checkpoint; train first")
    return found


def saved_steps(prefix: str) -> int:
    """Reads how many steps had been made at a checkpoint."""
    return int(tf.train.load_checkpoint(prefix).get_tensor(_STEPS))


class SavedEvery:
    """Saves from a thread of its own, while it is entered as a context, at equal distances."""

    def __init__(
        self, seconds: float, save: Callable[[], object], warn: Callable[[str], None]
    ) -> None:
        """Calls `save` every `seconds`, and `warn` with what went wrong where that fails."""
        self._seconds, self._save, self._warn = seconds, save, warn
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "SavedEvery":
        """Begins to save."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Lets a checkpoint that is being written end, and saves no more."""
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(self._seconds):
            try:
                self._save()
            except tf.errors.OpError as error:
                # Training goes on: a disk may have room again before the next one.
                self._warn(f"a checkpoint could not be written: {error.message.splitlines()[0]}")
