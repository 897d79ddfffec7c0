"""Reading one experiment's YAML file into frozen, validated sections."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import pydantic
import yaml
from pydantic.fields import FieldInfo

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
    kind, location = problem["type"], problem["loc"]
    written = _written(location, content, keep_last=kind in ("missing", "extra_forbidden"))
    name = ".".join(str(part) for part in (where, *written) if part != "")
    if kind == "missing":
        return f"{name}: missing; add it to the config"
    if kind == "extra_forbidden":
        keys = (key for place in _sections_at(section, location[:-1]) for key in place.model_fields)
        return f"{name}: unknown key; known here: {', '.join(dict.fromkeys(keys))}"
    if kind.startswith("union_tag"):
        return _explain_tag(name, problem["ctx"], _sections_at(section, location))
    message = problem["msg"].removeprefix("Value error, ")
    shown = problem["input"]
    return f"{name}: {message}" if isinstance(shown, Mapping) else f"{name}: {shown!r}: {message}"


def _explain_tag(
    name: str, context: Mapping[str, str], choices: Sequence[type[pydantic.BaseModel]]
) -> str:
    key = context["discriminator"].strip("'")
    tags = (tag for choice in choices for tag in get_args(choice.model_fields[key].annotation))
    given = f"{context['tag']!r}: unknown" if "tag" in context else "missing"
    return f"{name}.{key}: {given}; known: {', '.join(tags)}".removeprefix(".")


def _written(location: Sequence[Any], content: Any, keep_last: bool) -> list[Any]:
    """Leaves out of a location what stands for a type in it, which nobody wrote."""
    written = []
    for place, part in enumerate(location, 1):
        found = (
            part in content
            if isinstance(content, Mapping)
            else isinstance(content, list | tuple) and isinstance(part, int)
        )
        if found:
            content = content[part]
        if found or (keep_last and place == len(location)):
            written.append(part)
    return written


def _sections_at(annotation: Any, location: Sequence[Any]) -> list[type[pydantic.BaseModel]]:
    """The sections that a location leads to; several where it ends at a union."""
    fields = _fields(annotation)
    inner = [kind for kind in get_args(annotation) if kind not in (NoneType, Ellipsis)]
    if fields and issubclass(annotation, pydantic.RootModel):
        return _sections_at(fields["root"].annotation, location)
    if fields:
        if not location:
            return [annotation]
        field = fields.get(location[0])
        return _sections_at(field.annotation, location[1:]) if field else []
    if get_origin(annotation) is Annotated:
        return _sections_at(inner[0], location)
    if get_origin(annotation) in (Union, UnionType):
        if len(inner) > 1 and location:  # then its first part says which
            inner = [kind for kind in inner if _stands_for(location[0], kind)]
            location = location[1:]
        return [section for kind in inner for section in _sections_at(kind, location)]
    return _sections_at(inner[-1], location[1:]) if inner and location else []


def _stands_for(part: Any, kind: Any) -> bool:
    """Whether a part of a location is the tag, or the name, of one of a union's types."""
    tagged = any(get_args(field.annotation) == (part,) for field in _fields(kind).values())
    return tagged or getattr(kind, "__name__", None) == part


def _fields(annotation: Any) -> dict[str, FieldInfo]:
    """A section's fields by name; of any other type, none."""
    return getattr(annotation, "model_fields", {})
