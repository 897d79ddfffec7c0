"""Beside a SavedModel, what a server must know to change its items."""

import json
from pathlib import Path
from typing import NamedTuple

_FILE = Path("assets.extra") / "live_items.json"


class LiveItems(NamedTuple):
    """How a bundle's items change while it is served.

    Attributes:
      slots: how many changes there is room for.
      feature: the item feature that holds the items' ids.
      since: the moment of the catalogue, in seconds since 1970; later changes are not in it.
    """

    slots: int
    feature: str
    since: float

    def write(self, version: Path) -> None:
        """Puts it beside the SavedModel of a directory."""
        file = version / _FILE
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(self._asdict()))

    @classmethod
    def read(cls, version: Path) -> "LiveItems | None":
        """Reads it; a version whose items do not change has none."""
        file = version / _FILE
        return cls(**json.loads(file.read_text())) if file.is_file() else None
