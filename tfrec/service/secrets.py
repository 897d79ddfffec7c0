"""Secrets stay out of config files: they come from the environment, or from files of their own."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tfrec.errors import UserError

FROM_ENVIRONMENT = "env:"
"""What stands before the name of an environment variable in the place of a value."""

_NAMES = re.compile(r"(?i)(^|_)(password|passwd|secret|token|api_?key|credentials?)$")
_VALUES = {
    "a URL with a password": re.compile(r"[a-z][a-z0-9+.-]*://[^/@\s]*:[^/@\s]+@"),
    "an API key": re.compile(
        r"\btfrec_[0-9a-f]{8}_[\w-]{16,}|\b(sk|pk|ghp|xox[a-z])[-_][\w-]{16,}"
    ),
    "an access header": re.compile(r"(?i)^(bearer|basic) \S+"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}


def refuse_secrets(content: object, where: str) -> None:
    """Looks for what should not stand in a file that many can read.

    Args:
      content: a section as it is written.
      where: its name.

    Raises:
      ValueError: if something looks like a secret; it is named and not shown.
    """
    for name, value in _strings(content, where):
        if value.startswith(FROM_ENVIRONMENT):
            continue
        kind = next((kind for kind, form in _VALUES.items() if form.search(value)), None)
        if kind is None and _NAMES.search(name.rpartition(".")[2]):
            kind = "a secret"
        if kind:
            raise ValueError(
                f"{name}: looks like {kind}, which is no part of a config; put it in an "
                f"environment variable and name that, as {FROM_ENVIRONMENT}NAME or in the "
                "field whose name ends in _env"
            )


def from_environment(value: str, field: str) -> str:
    """Replaces `env:NAME` by what the environment has.

    Args:
      value: of a config.
      field: its dotted name, for messages.

    Returns:
      The value, or what the environment has in its place.

    Raises:
      UserError: if it has nothing of this name.
    """
    if not value.startswith(FROM_ENVIRONMENT):
        return value
    name = value.removeprefix(FROM_ENVIRONMENT)
    if not os.environ.get(name):
        raise UserError(f"{field}: {value!r}: {name} is not set in the environment")
    return os.environ[name]


def _strings(content: Any, where: str) -> Iterator[tuple[str, str]]:
    """Each string below a section, with its dotted name."""
    if isinstance(content, str):
        yield where, content
    elif isinstance(content, Mapping):
        for name, value in content.items():
            yield from _strings(value, f"{where}.{name}")
    elif isinstance(content, list | tuple):
        for place, value in enumerate(content):
            yield from _strings(value, f"{where}.{place}")
