"""Figures of a version's evaluation, kept with the version where it is served."""

import json
from pathlib import Path

from tfrec.evaluation.blessing import Figures

_FILE = Path("assets.extra", "tfrec_figures.json")


def write_figures(figures: Figures, version: Path) -> None:
    """Keeps figures with a version that is not served yet.

    Args:
      figures: of its model.
      version: its directory.
    """
    file = version / _FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(figures, indent=2))


def newest_figures(model: Path) -> Figures | None:
    """Reads the figures of the newest version of a model that has any.

    Args:
      model: its directory below the model root.

    Returns:
      The figures; none before the first version that was pushed with them.
    """
    versions = sorted((int(file.parts[-3]), file) for file in model.glob(f"[0-9]*/{_FILE}"))
    return json.loads(versions[-1][1].read_text()) if versions else None
