"""Options that are not declared: config values by dotted name, features by their own."""

from collections.abc import Sequence

from tfrec.errors import UserError

OPEN = {"ignore_unknown_options": True, "allow_extra_args": True}
"""Click's settings of a command that takes such options."""


def parse(arguments: Sequence[str]) -> dict[str, str]:
    """Reads `--name value` and `--name=value` pairs.

    Args:
      arguments: what click left over.

    Returns:
      Name -> value.

    Raises:
      UserError: if an argument is no option, or lacks its value.
    """
    values = {}
    remaining = list(arguments)
    while remaining:
        option = remaining.pop(0)
        if not option.startswith("--"):
            raise UserError(f"{option!r}: not expected; give values as --name value")
        name, separator, value = option[2:].partition("=")
        if not separator:
            if not remaining:
                raise UserError(f"{option}: lacks a value")
            value = remaining.pop(0)
        values[name] = value
    return values
