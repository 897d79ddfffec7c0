"""a bundle -> a model root that servers watch."""

import shutil
from pathlib import Path

from tfrec.evaluation.blessing import Figures
from tfrec.stages.export import ServingBundle
from tfrec.stages.reporter import Reporter
from tfrec.stages.served_figures import write_figures


def push(
    bundle: ServingBundle,
    root: Path,
    reporter: Reporter | None = None,
    figures: Figures | None = None,
) -> Path:
    """Copies a bundle's version below a model root, where it appears whole by a rename.

    Args:
      bundle: what to push.
      root: directory below which servers find models.
      reporter: hears of the step.
      figures: of its evaluation, to be kept with the version.

    Returns:
      The version's directory, `root/name/version`; one that is there already is left alone.
    """
    source = bundle.version
    target = root / source.parent.name / source.name
    if not target.exists():
        (reporter or Reporter()).step(f"copying version {source.name}")
        partial = target.with_name(f".{source.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(source, partial)
        if figures:
            write_figures(figures, bundle.manifest.inputs["train"], partial)
        partial.rename(target)
    return target
