"""Where everything is in a directory of prepared data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tfrec.data.split import Window

TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True)
class PreparedData:
    """A directory of prepared data.

    Attributes:
      path: the directory.
    """

    path: Path

    @property
    def catalogue(self) -> Path:
        """Parquet table of the items: id, name and raw features, one row per item."""
        return self.path / "catalogue.parquet"

    @property
    def events(self) -> Path:
        """Directory of cleaned events: Parquet, whole shoppers per file, ordered in time."""
        return self.path / "events"

    @property
    def transform(self) -> Path:
        """Directory of the fitted TensorFlow Transform graph."""
        return self.path / "transform"

    @property
    def items(self) -> Path:
        """Directory of transformed Examples of the items, in the order of the catalogue."""
        return self.path / "items"

    @property
    def profiles(self) -> Path:
        """Directory of Parquet files: each shopper's raw features after the last event."""
        return self.path / "profiles"

    @property
    def rejects(self) -> Path:
        """Directory of rejected rows as lines of JSON, each with its reason."""
        return self.path / "rejects"

    @property
    def schema(self) -> Path:
        """Schema of the raw features, as a text protocol buffer."""
        return self.path / "schema.pbtxt"

    @property
    def windows(self) -> dict[str, Window]:
        """The stretches of time `train`, `validation` and `test`."""
        content = json.loads((self.path / "windows.json").read_text())
        return {name: Window(*window) for name, window in content.items()}

    def write_windows(self, windows: Mapping[str, Window]) -> None:
        """Keeps the stretches of time for later stages."""
        (self.path / "windows.json").write_text(json.dumps(windows))

    def examples(self, window: str) -> Path:
        """Directory of transformed Examples of the events of `train`, `validation` or `test`."""
        return self.path / "examples" / window

    def queries(self, window: str) -> Path:
        """Directory of Parquet files: raw queries of `validation` or `test`, and their answers."""
        return self.path / "queries" / window
