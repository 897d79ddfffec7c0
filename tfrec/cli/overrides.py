"""Options that are not declared: config values by dotted name, features by their own."""

import json
from collections.abc import Collection, Mapping, Sequence

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


def for_beam(values: Mapping[str, str], fields: Collection[str]) -> dict[str, str]:
    """Takes names without a dot, but for the config's own, for options of Beam.

    Args:
      values: name -> value, as written.
      fields: names of the config's fields.

    Returns:
      Dotted name -> value, as YAML. An option's value is what is written, whatever it is in YAML:
      `[local]` is no list and `1.20` no number.
    """
    dotted = {}
    for name, value in values.items():
        if "." in name or name in fields:
            dotted[name] = value
        else:
            switch = value in ("true", "false")
            dotted[f"data.beam.{name}"] = value if switch else json.dumps(value)
    return dotted
