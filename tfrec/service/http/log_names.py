"""Shoppers in logs: by a keyed hash, never by their ids."""

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping

from tfrec.errors import UserError

_LEAST_BYTES = 16


class LogNames:
    """Names for shoppers that tell nothing without the key.

    Whoever has the logs can tell that two lines are of one shopper, and not of which, even with a
    list of all ids.
    """

    def __init__(self, key: bytes) -> None:
        """Takes the key of the hash."""
        self._key = hashlib.blake2b(key, digest_size=32).digest()

    @classmethod
    def of(cls, variable: str | None, environment: Mapping[str, str]) -> "LogNames":
        """Takes the key from the environment; without a name of a variable it makes one.

        Raises:
          UserError: if the variable is not set, or too short to be a key.
        """
        if variable is None:
            return cls(secrets.token_bytes(32))
        key = environment.get(variable, "").encode()
        if len(key) < _LEAST_BYTES:
            raise UserError(
                f"service.http.log_key_env: {variable!r}: holds {len(key)} bytes; set it to "
                f"{_LEAST_BYTES} random ones at least"
            )
        return cls(key)

    def name(self, shopper: str) -> str:
        """What stands for a shopper's id."""
        digest = hashlib.blake2b(shopper.encode("utf-8", "replace"), key=self._key, digest_size=8)
        return f"shopper-{digest.hexdigest()}"

    def scrub(self, text: str, shoppers: Iterable[str]) -> str:
        """Puts names in the place of ids, wherever they stand in a text as words of their own."""
        for shopper in sorted(filter(None, shoppers), key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(shopper)}(?!\w)", self.name(shopper), text)
        return text
