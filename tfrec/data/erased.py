"""Shoppers who asked to be forgotten: their events are left out whatever log still holds them."""

import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from tfrec.errors import UserError

_DIGEST_BYTES = 16
_KEY_BYTES = 32
_FIRST_LINE = re.compile(rb"[0-9a-f]{16}\n")


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
          file: what `begin_tombstones` made, or `erase` wrote.

        Raises:
          UserError: if it or its key is not there, or a line is no tombstone.
        """
        key_file = key_of(file)
        if not file.exists():
            raise UserError(_no_tombstones(file, key_file))
        if _is_unfinished(file):
            return cls.nobody()
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


def begin_tombstones(file: Path) -> None:
    """Makes a file without tombstones, and its key, unless there is one of them.

    Raises:
      UserError: as `Erased.read`.
    """
    with _locked(file):
        _key(file)


def erase(file: Path, user: str, moment: int) -> None:
    """Adds a tombstone, which is on the disk when this returns.

    Args:
      file: of the tombstones; it is made with its key at the first.
      user: the shopper's id.
      moment: events up to it are gone, in seconds since 1970; what comes later stays.

    Raises:
      UserError: as `Erased.read`.
    """
    with _locked(file):
        key = _key(file)
        digest = hashlib.blake2b(user.encode(), key=key, digest_size=_DIGEST_BYTES).hexdigest()
        with file.open("ab+") as opened:
            _mend(opened)
            opened.write(f"{digest} {moment}\n".encode())
            opened.flush()
            os.fsync(opened.fileno())


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(f".{file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _key(file: Path) -> bytes:
    """The key of tombstones; where there are none yet, a new one, told by their first line."""
    if key_of(file).exists() or (file.exists() and not _is_unfinished(file)):
        Erased.read(file)
    else:
        # In this order: a key without tombstones tells that they are lost.
        key = secrets.token_bytes(_KEY_BYTES)
        _write(file, _fingerprint(key) + "\n")
        _write(key_of(file), key.hex())
    return bytes.fromhex(key_of(file).read_text())


def _is_unfinished(file: Path) -> bool:
    """Whether there is no tombstone yet, and the key was never written."""
    return not key_of(file).exists() and _FIRST_LINE.fullmatch(file.read_bytes()) is not None


def _no_tombstones(file: Path, key_file: Path) -> str:
    if key_file.exists():
        return (
            f"{file}: no tombstones, but their key {key_file.name}; without them all erased "
            "shoppers would come back: restore the file"
        )
    return (
        f"{file}: no tombstones, and no key {key_file.name}; correct the path, or leave it out "
        "until the service that keeps them has begun the file"
    )


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
