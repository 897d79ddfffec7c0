"""Reading one experiment's YAML file into frozen, validated sections."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pydantic
import yaml

from tfrec.errors import UserError

SectionT = TypeVar("SectionT", bound=pydantic.BaseModel)

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Section(pydantic.BaseModel):
    """One section of a config: frozen, and a key it does not know is an error."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


def _parse_duration(value: object) -> object:
    match = re.fullmatch(r"(\d+)([smhdw])", value) if isinstance(value, str) else None
    if match:
        return int(match[1]) * _SECONDS[match[2]]
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("not a duration; write a whole number and a unit (s, m, h, d, w), e.g. 14d")


Duration = Annotated[int, pydantic.BeforeValidator(_parse_duration), pydantic.Field(gt=0)]
"""A length of time in seconds; a config may write it as `14d`, `36h`, `90m`."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a config file.

    Args:
      path: a YAML file that holds one mapping.

    Returns:
      The mapping, unvalidated.

    Raises:
      UserError: if the file is missing, is not YAML, or holds something else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; give the path of an experiment's YAML"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no mapping; see configs/ for an example")
    return content


def override(content: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """Sets values by their dotted names, e.g. `{"training.workers": "4"}`.

    Args:
      content: a config's mapping; it is not changed.
      values: dotted name -> value, written as it would be in YAML.

    Returns:
      A copy of `content` with the values set.

    Raises:
      UserError: if a name leads through something that is no mapping, or a value is not YAML.
    """
    result = dict(content)
    for name, value in values.items():
        *parents, last = name.split(".")
        section = result
        for parent in parents:
            inner = section.get(parent, {})
            if not isinstance(inner, Mapping):
                raise UserError(f"{name}: {parent} is a single value, not a section")
            section[parent] = section = dict(inner)
        try:
            section[last] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(
                f"{name}: {value!r}: not valid YAML; mind brackets and quotes"
            ) from None
    return result


def validate(section: type[SectionT], content: Mapping[str, Any], where: str = "") -> SectionT:
    """Validates a mapping as a section.

    Args:
      section: the section's class.
      content: what a config file says.
      where: dotted name of the section, put before the names of its fields in messages.

    Returns:
      The section.

    Raises:
      UserError: one line for each field that is wrong, with its name, its value and the remedy.
    """
    try:
        return section.model_validate(content)
    except pydantic.ValidationError as error:
        lines = [_explain(problem, where, section, content) for problem in error.errors()]
        raise UserError("\n".join(lines)) from None


def _explain(
    problem: Any, where: str, section: type[pydantic.BaseModel], content: Mapping[str, Any]
) -> str:
    location = _written(problem["loc"], content)
    name = ".".join(str(part) for part in (where, *location) if part != "")
    if problem["type"] == "missing":
        return f"{name}: missing; add it to the config"
    if problem["type"] == "extra_forbidden":
        known = ", ".join(_fields_at(section, problem["loc"][:-1]))
        return f"{name}: unknown key; known here: {known}" if known else f"{name}: unknown key"
    message = problem["msg"].removeprefix("Value error, ")
    shown = problem["input"]
    return f"{name}: {message}" if isinstance(shown, Mapping) else f"{name}: {shown!r}: {message}"


def _written(location: tuple[Any, ...], content: Any) -> list[Any]:
    """Leaves out of a location what stands for a type in it, which nobody wrote."""
    *path, last = location or ("",)
    written = []
    for part in path:
        if isinstance(content, Mapping) and part not in content:
            continue
        written.append(part)
        content = content[part] if isinstance(content, (Mapping, list, tuple)) else None
    return [*written, last]


def _fields_at(section: type[pydantic.BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Names of the fields of the section that `location` leads to, as far as types tell."""
    for part in location:
        field = section.model_fields.get(part)
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, pydantic.BaseModel)):
            return []
        section = inner
    return list(section.model_fields)
