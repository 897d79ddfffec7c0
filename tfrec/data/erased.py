"""Shoppers who asked to be forgotten: their events are left out whatever log still holds them."""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from tfrec.errors import UserError

_DIGEST_BYTES = 16
_KEY_BYTES = 32


class Erased:
    """Tombstones: for each erased id a keyed hash, and until when its events are gone.

    The file names nobody: whoever reads it cannot tell who asked to be forgotten, nor try out ids,
    without the key, which stands in a file of its own beside it.
    """

    def __init__(self, key: bytes, moments: Mapping[bytes, int]) -> None:
        """Takes the key, and the moment of erasure by hash, in seconds since 1970."""
        self._digest = partial(hashlib.blake2b, key=key, digest_size=_DIGEST_BYTES)
        self._moments = dict(moments)

    def __len__(self) -> int:
        """The number of erased ids."""
        return len(self._moments)

    @classmethod
    def nobody(cls) -> "Erased":
        """No tombstones."""
        return cls(b"", {})

    @classmethod
    def read(cls, file: Path) -> "Erased":
        """Reads tombstones.

        Args:
          file: what `erase` wrote; there may be none, and then nobody is erased.

        Raises:
          UserError: if its key is not beside it, or a line is no tombstone.
        """
        if not file.exists():
            return cls.nobody()
        key_file = key_of(file)
        try:
            key = bytes.fromhex(key_file.read_text())
        except (OSError, ValueError):
            raise UserError(
                f"{key_file}: no key; without it the erased shoppers of {file} would come back: "
                "restore it"
            ) from None
        first, *lines = file.read_text().split("\n")
        if first != _fingerprint(key):
            raise UserError(f"{key_file}: not the key of {file}; restore the one it was made with")
        try:
            pairs = [line.split() for line in lines[:-1]]
            return cls(key, {bytes.fromhex(digest): int(at) for digest, at in pairs})
        except ValueError:
            raise UserError(f"{file}: not as tfrec writes it; restore it from a copy") from None

    def until(self, user: str) -> float:
        """The moment up to which a shopper's events are gone; minus infinity if they are not."""
        if not self._moments:
            return -np.inf
        return self._moments.get(self._digest(user.encode()).digest(), -np.inf)

    def covers(self, users: pa.StringArray, times: pa.Int64Array) -> pa.BooleanArray:
        """Whether events are gone.

        Args:
          users: `[events]`, null where there is none.
          times: `[events]` seconds since 1970; null counts as gone.

        Returns:
          `[events]`, false without a user.
        """
        distinct = users.dictionary_encode()
        until = np.array([*map(self.until, distinct.dictionary.to_pylist()), -np.inf])
        until = until[distinct.indices.fill_null(-1).to_numpy()]
        moments = times.cast(pa.float64()).fill_null(-np.inf).to_numpy()
        return pa.array((moments <= until) & np.isfinite(until))


def key_of(file: Path) -> Path:
    """The file that holds the key of tombstones, readable by its owner only."""
    return file.with_name(f"{file.name}.key")


def erase(file: Path, user: str, moment: int) -> None:
    """Adds a tombstone, which is on the disk when this returns.

    Args:
      file: of the tombstones; it is made with its key at the first.
      user: the shopper's id.
      moment: events up to it are gone, in seconds since 1970; what comes later stays.

    Raises:
      UserError: as `Erased.read`.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(f".{file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        key = _key(file)
        digest = hashlib.blake2b(user.encode(), key=key, digest_size=_DIGEST_BYTES).hexdigest()
        with file.open("ab+") as opened:
            _mend(opened)
            opened.write(f"{digest} {moment}\n".encode())
            opened.flush()
            os.fsync(opened.fileno())


def _key(file: Path) -> bytes:
    """The key of tombstones; where there are none yet, a new one, told by their first line."""
    if file.exists():
        Erased.read(file)
    elif not key_of(file).exists():
        _write(key_of(file), secrets.token_hex(_KEY_BYTES))
    key = bytes.fromhex(key_of(file).read_text())
    if not file.exists():
        _write(file, _fingerprint(key) + "\n")
    return key


def _mend(opened: BinaryIO) -> None:
    """Cuts off a last line that was never finished, and so never acknowledged."""
    opened.seek(0)
    opened.truncate(opened.read().rfind(b"\n") + 1)


def _write(file: Path, text: str) -> None:
    scratch = file.with_name(f".{file.name}.new")
    scratch.touch(mode=0o600)
    with scratch.open("w") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    scratch.rename(file)


def _fingerprint(key: bytes) -> str:
    return hashlib.blake2b(b"tfrec erased shoppers", key=key, digest_size=8).hexdigest()
