"""Finding a template by the name that a config gives it."""

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pydantic

from tfrec.config import Section, validate
from tfrec.errors import UserError
from tfrec.models.base import Template
from tfrec.models.closed_form import ClosedForm

_FILE_MODULE = "tfrec_template_"
"""What the names of modules that were imported by their path begin with."""


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
    module_name, separator, name = config.template.partition(":")
    if not separator:
        module_name, _, name = config.template.rpartition(".")
    template = getattr(_import(module_name, config.template), name, None)
    if not (isinstance(template, type) and issubclass(template, Template | ClosedForm)):
        raise UserError(
            f"model.template: {config.template!r} is no template; "
            "name a subclass of tfrec.models.Template"
        )
    return template, validate(template.Settings, config.settings, "model")


def reference(template: AnyTemplate) -> str:
    """Names a class so that `load_template` finds it again, in another process too."""
    module = template.__module__
    if module != "__main__" and not module.startswith(_FILE_MODULE):
        return f"{module}.{template.__qualname__}"
    return f"{Path(inspect.getfile(template)).resolve()}:{template.__qualname__}"


def source_digest(template: AnyTemplate) -> str:
    """Digest of the file that defines a template: an edited template is another one."""
    return hashlib.sha256(Path(inspect.getfile(template)).read_bytes()).hexdigest()


def _import(module: str, wanted: str) -> ModuleType:
    """Imports a module by its name, or a file by its path."""
    try:
        if not module.endswith(".py"):
            if "" not in sys.path:
                sys.path.insert(0, "")
            return importlib.import_module(module)
        path = str(Path(module).resolve())
        name = f"{_FILE_MODULE}{hashlib.sha256(path.encode()).hexdigest()}"
        found = importlib.util.spec_from_file_location(name, module)
        assert found is not None
        assert found.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(found)
        found.loader.exec_module(sys.modules[name])
        return sys.modules[name]
    except (ImportError, OSError, SyntaxError, TypeError, ValueError) as error:
        raise UserError(f"model.template: {wanted!r}: cannot be imported: {error}") from None
