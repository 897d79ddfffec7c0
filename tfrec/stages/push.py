"""a bundle -> a model root that servers watch."""

import shutil
from pathlib import Path

from tfrec.stages.export import ServingBundle


def push(bundle: ServingBundle, root: Path) -> Path:
    """Copies a bundle's version below a model root, where it appears whole by a rename.

    Args:
      bundle: what to push.
      root: directory below which servers find models.

    Returns:
      The version's directory, `root/name/version`; one that is there already is left alone.
    """
    source = bundle.version
    target = root / source.parent.name / source.name
    if not target.exists():
        partial = target.with_name(f".{source.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(source, partial)
        partial.rename(target)
    return target
