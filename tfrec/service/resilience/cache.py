"""Answers of before, behind one interface."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson

_DIGEST_BYTES = 16


class Found(NamedTuple):
    """What a cache has.

    Attributes:
      value: the answer; None where there is none that may be shown.
      stamp: what has to be given to `keep` with a new answer. It stands for what the shopper had
        done when it was asked for; None where nothing can be kept.
    """

    value: bytes | None
    stamp: bytes | None


class Cache(ABC):
    """Keeps answers for a while, each of one shopper, who by a new event makes them all invalid.

    It never fails: a cache that is away has nothing and keeps nothing. Shoppers and keys are
    written down as hashes only.
    """

    @abstractmethod
    async def find(self, shopper: str, key: str) -> Found:
        """Finds an answer.

        Args:
          shopper: the id, or what stands for an anonymous session; empty for nobody.
          key: of the question; see `key_of`.
        """

    @abstractmethod
    async def keep(self, shopper: str, key: str, value: bytes, stamp: bytes | None) -> None:
        """Keeps an answer, unless the shopper has a new event since it was looked for.

        Args:
          shopper: see `find`.
          key: see `find`.
          value: the answer.
          stamp: what `find` gave.
        """

    @abstractmethod
    async def forget(self, shoppers: Iterable[str]) -> None:
        """Makes all answers of shoppers invalid: those that are kept and those in the making.

        To be called before their events are acknowledged, and after they are visible.
        """

    @abstractmethod
    async def close(self) -> None:
        """Lets go of connections."""


def key_of(*parts: Any) -> str:
    """A key for what an answer depends on.

    Args:
      *parts: values that JSON can hold, such as a request and the versions of models.

    Returns:
      A hash of 32 hexadecimal digits, the same in every process.
    """
    return digest(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS))


def digest(content: bytes) -> str:
    """A hash that tells nothing of the content to who does not have it."""
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES, person=b"tfrec-cache").hexdigest()
