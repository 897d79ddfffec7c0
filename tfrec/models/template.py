"""Finding a template by the name that a config gives it."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic

from tfrec.config import Section, validate
from tfrec.errors import UserError
from tfrec.models.base import Template
from tfrec.models.closed_form import ClosedForm
from tfrec.references import FILE_MODULE, find, source_digest

__all__ = ["AnyTemplate", "ModelConfig", "load_template", "reference", "source_digest"]

AnyTemplate = type[Template] | type[ClosedForm]


class ModelConfig(Section):
    """The `model` section: a template, and that template's own settings beside it.

    Attributes:
      template: `package.module.Class`, or `path/to/file.py:Class`.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="allow")

    template: str = "tfrec.models.TwoTower"

    @property
    def settings(self) -> Mapping[str, Any]:
        """The template's own keys."""
        return self.model_extra or {}


def load_template(config: ModelConfig) -> tuple[AnyTemplate, Section]:
    """Imports a template and validates its settings.

    Args:
      config: the `model` section.

    Returns:
      The class, and the settings to make it with.

    Raises:
      UserError: if there is no such class or a setting is wrong.
    """
    template = find(config.template, "model.template")
    if not (isinstance(template, type) and issubclass(template, Template | ClosedForm)):
        raise UserError(
            f"model.template: {config.template!r} is no template; "
            "name a subclass of tfrec.models.Template"
        )
    return template, validate(template.Settings, config.settings, "model")


def reference(template: AnyTemplate) -> str:
    """Names a class so that `load_template` finds it again, in another process too."""
    module = template.__module__
    if module != "__main__" and not module.startswith(FILE_MODULE):
        return f"{module}.{template.__qualname__}"
    return f"{Path(inspect.getfile(template)).resolve()}:{template.__qualname__}"
