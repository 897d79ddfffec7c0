"""`tfrec verify`: whether a bundle answers as the model it was made of."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfrec.serving.verify import Checked


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
def verify(bundle: Path) -> None:
    """Replay the requests stored with a bundle, and compare its answers to the trained model's.

    BUNDLE is the artefact of the export stage, or a version's directory below a model root. The
    expected answers were computed at export by the trained model, apart from the bundle.

    \b
    Examples:
      tfrec verify runs/complete_journey/export
      tfrec verify serving/complete_journey/1795355169
    """
    from tfrec.serving.verify import refuse_faults
    from tfrec.serving.verify import verify as replay

    for version in _versions(bundle):
        checked = replay(version)
        _show(version, checked)
        refuse_faults(version, checked)


def _versions(bundle: Path) -> list[Path]:
    if (bundle / "saved_model.pb").exists():
        return [bundle]
    # All that export needs takes seconds to import.
    from tfrec.stages.export import ServingBundle

    return ServingBundle(bundle).versions


def _show(version: Path, checked: "Sequence[Checked]") -> None:
    table = Table("signature", "requests", "largest difference", "recall", title=str(version))
    for one in checked:
        difference = "-" if one.difference is None else f"{one.difference:.1e}"
        recall = "-" if one.recall is None else f"{one.recall:.4f}"
        style = "red" if one.fault else None
        table.add_row(one.signature, str(one.requests), difference, recall, style=style)
    Console().print(table)
