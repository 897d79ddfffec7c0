"""A second name for a file, in place of a copy."""

import os
import shutil
from pathlib import Path


def link(source: str | Path, target: str | Path) -> None:
    """Gives a file a second name, or copies it where that cannot be; what was there is replaced."""
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # no links on this file system, or from one to another
        shutil.copyfile(source, target)
