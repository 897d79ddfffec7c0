"""Finding what a config names by its place in the user's code."""

import hashlib
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tfrec.errors import UserError

FILE_MODULE = "tfrec_template_"
"""What the names of modules that were imported by their path begin with."""


def find(reference: str, field: str) -> Any:
    """Imports what a config names.

    Args:
      reference: `package.module.name`, or `path/to/file.py:name`.
      field: dotted name of the config's field, for messages.

    Returns:
      The object; none if its module has no such name.

    Raises:
      UserError: if the module cannot be imported.
    """
    module, separator, name = reference.partition(":")
    if not separator:
        module, _, name = reference.rpartition(".")
    try:
        return getattr(_import(module), name, None)
    except (ImportError, OSError, SyntaxError, TypeError, ValueError) as error:
        raise UserError(f"{field}: {reference!r}: cannot be imported: {error}") from None


def source_digest(found: Any) -> str:
    """Digest of the file that defines a class or a function: an edited one is another one."""
    return hashlib.sha256(Path(inspect.getfile(found)).read_bytes()).hexdigest()


def _import(module: str) -> ModuleType:
    """Imports a module by its name, or a file by its path."""
    if not module.endswith(".py"):
        if "" not in sys.path:
            sys.path.insert(0, "")
        return importlib.import_module(module)
    path = str(Path(module).resolve())
    name = f"{FILE_MODULE}{hashlib.sha256(path.encode()).hexdigest()}"
    found = importlib.util.spec_from_file_location(name, module)
    assert found is not None
    assert found.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(found)
    found.loader.exec_module(sys.modules[name])
    return sys.modules[name]
