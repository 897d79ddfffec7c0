"""Figures of a version's evaluation, kept with the version where it is served."""

import json
from pathlib import Path

from tfrec.evaluation.blessing import Figures

_FILE = Path("assets.extra", "tfrec_figures.json")


def write_figures(figures: Figures, trained: str, version: Path) -> None:
    """Keeps figures with a version that is not served yet.

    Args:
      figures: of its model.
      trained: id of its trained model.
      version: its directory.
    """
    file = version / _FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"trained": trained, "figures": figures}, indent=2))


def newest_figures(model: Path, judged: str | None = None) -> Figures | None:
    """Reads the figures of the newest version of a model that has any.

    Args:
      model: its directory below the model root.
      judged: id of a trained model that is not to be compared with itself: its own versions are
        passed over.

    Returns:
      The figures; none before the first version that was pushed with them.
    """
    files = {int(file.parts[-3]): file for file in model.glob(f"[0-9]*/{_FILE}")}
    for _, file in sorted(files.items(), reverse=True):
        kept = json.loads(file.read_text())
        if kept["trained"] != judged:
            return kept["figures"]
    return None
