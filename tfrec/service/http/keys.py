"""API keys: what callers may do."""

import hashlib
import hmac
import logging
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import Field, field_validator

from tfrec.config import Section, validate
from tfrec.errors import UserError
from tfrec.service.http.config import HttpConfig, RateLimit
from tfrec.service.http.errors import HttpError

logger = logging.getLogger(__name__)

Scope = Literal["read", "users", "events", "erase", "metrics"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

_FORM = re.compile(r"tfrec_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_BEARER = re.compile(r"(?i)bearer +(\S+)")
_NOBODYS = "0" * 64


class Key(Section):
    """What is kept of a key: not the key, but its hash.

    A key has 256 random bits, so that a hash which is quick to compute is as hard to turn around
    as a slow one would be.

    Attributes:
      id: in the key itself, and in logs.
      name: for people: whose it is.
      hash: of the key, see `hash_key`.
      scopes: `read` asks for slates and items; `users` does so for a shopper by id, and reads
        what is known of one; `events` sends events; `erase` forgets a shopper; `metrics`.
      expires: from when it is not taken any more; without a zone in UTC.
      rate: instead of the one that others have.
    """

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]
    name: Annotated[str, Field(min_length=1, max_length=100)]
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    expires: datetime | None = None
    rate: RateLimit | None = None

    @field_validator("expires")
    @classmethod
    def _in_utc(cls, expires: datetime | None) -> datetime | None:
        has_none = expires is not None and expires.tzinfo is None
        return expires.replace(tzinfo=timezone.utc) if has_none and expires else expires


class KeyFile(Section):
    """The content of a file of keys."""

    keys: tuple[Key, ...] = ()


class Keys:
    """The keys that are taken. A changed file is read anew; a broken one changes nothing."""

    def __init__(self, read: Callable[[], KeyFile], file: Path | None = None) -> None:
        """Reads the keys.

        Args:
          read: reads them.
          file: that they are in; None where they stay as they are.

        Raises:
          UserError: if they cannot be read.
        """
        self._read, self._file = read, file
        self._seen = self._state()
        self._keys = _by_id(read().keys)

    @classmethod
    def of(cls, config: HttpConfig, environment: Mapping[str, str]) -> "Keys | None":
        """The keys that a config names.

        Args:
          config: of the server.
          environment: of the process.

        Returns:
          They; None where no keys are needed.

        Raises:
          UserError: if they cannot be read.
        """
        if config.keys:
            file = config.keys
            return cls(lambda: read_keys(file), file)
        if config.keys_env:
            where = config.keys_env
            if where not in environment:
                raise UserError(f"service.http.keys_env: {where!r}: not set in the environment")
            text = environment[where]
            return cls(lambda: _parse(text, where))
        return None

    def identify(self, authorization: str | None, now: datetime) -> Key | None:
        """Finds the key that a request comes with.

        Args:
          authorization: the header of this name; None where there is none.
          now: the moment.

        Returns:
          The key; None if there is none.

        Raises:
          HttpError: 401 if it is not one that is taken.
        """
        if authorization is None:
            return None
        self._refresh()
        bearer = _BEARER.fullmatch(authorization.strip())
        written = _FORM.fullmatch(bearer[1]) if bearer else None
        if written is None:
            raise _refused("unknown_key", "no key; send Authorization: Bearer tfrec_...")
        key = self._keys.get(written[1])
        # The comparison takes place and as long whether there is a key of this id or not.
        is_right = hmac.compare_digest(hash_key(written[0]), key.hash if key else _NOBODYS)
        if key is None or not is_right:
            raise _refused("unknown_key", "the key is not known; ask for one, or mind its letters")
        if key.expires is not None and now >= key.expires:
            raise _refused("expired_key", f"the key expired at {key.expires.isoformat()}")
        return key

    def _refresh(self) -> None:
        state = self._state()
        if state != self._seen:
            self._seen = state
            try:
                self._keys = _by_id(self._read().keys)
            except UserError as error:
                logger.warning("the keys stay as they were: %s", error)

    def _state(self) -> tuple[int, ...]:
        try:
            found = self._file.stat() if self._file else None
        except OSError:
            return (-1,)
        return (found.st_mtime_ns, found.st_size, found.st_ino) if found else ()


def hash_key(key: str) -> str:
    """What is kept of a key."""
    return hashlib.blake2b(key.encode(), digest_size=32, person=b"tfrec key").hexdigest()


def make_key(
    name: str, scopes: Iterable[Scope], expires: datetime | None, rate: RateLimit | None = None
) -> tuple[str, Key]:
    """Makes a key.

    Returns:
      The key, which nobody can tell later, and what is kept of it.
    """
    key_id = secrets.token_hex(4)
    written = f"tfrec_{key_id}_{secrets.token_urlsafe(32)}"
    kept = Key(
        id=key_id,
        name=name,
        hash=hash_key(written),
        scopes=tuple(dict.fromkeys(scopes)),
        expires=expires,
        rate=rate,
    )
    return written, kept


def read_keys(file: Path) -> KeyFile:
    """Reads a file of keys.

    Raises:
      UserError: if it is not there, or no such file.
    """
    try:
        return _parse(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{file}: no file of keys ({error}); make one with tfrec gateway-key"
        ) from None


def write_keys(file: Path, keys: KeyFile) -> None:
    """Writes a file of keys, whole, for its owner only.

    Raises:
      UserError: if it cannot be written.
    """
    text = yaml.safe_dump(keys.model_dump(mode="json", exclude_none=True), sort_keys=False)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as temporary:
            temporary.write(text)
        Path(name).replace(file)
    except OSError as error:
        raise UserError(f"{file}: cannot be written: {error}") from None


def _parse(text: str, where: str) -> KeyFile:
    try:
        content: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, Mapping):
        raise UserError(f"{where}: holds no mapping; make one with tfrec gateway-key")
    found = validate(KeyFile, content, where)
    if len(_by_id(found.keys)) < len(found.keys):
        raise UserError(f"{where}.keys: two of them have one id; remove one")
    return found


def _by_id(keys: Iterable[Key]) -> dict[str, Key]:
    return {key.id: key for key in keys}


def _refused(code: str, message: str) -> HttpError:
    return HttpError(401, code, message, headers={"www-authenticate": 'Bearer realm="tfrec"'})
