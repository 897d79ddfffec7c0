"""An empty cache, and files as publishers write them."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tfrec.data import datasets

Rows = list[dict]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of cached data sets, which does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tfrec" / "datasets"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a published file into one directory and returns that directory."""

    def run(name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
        file = tmp_path / "published" / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return tmp_path / "published"

    return run


@pytest.fixture
def read() -> Callable[[str, str], Rows]:
    """Reads a cached table."""
    return lambda name, table: pq.read_table(datasets.fetch(name, table)).to_pylist()
