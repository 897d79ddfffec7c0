from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tfrec.cli.main import cli
from tfrec.data.datasets import DATASETS
from tfrec.errors import UserError


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def run() -> Callable[..., Result]:
    """Runs `tfrec datasets` where the output is no terminal."""

    def datasets(*arguments: object) -> Result:
        return CliRunner().invoke(cli, ["datasets", *map(str, arguments)])

    return datasets


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """A review file of one review."""
    path = tmp_path / "Toys.jsonl"
    path.write_text(
        '{"rating": 3.0, "asin": "B1", "parent_asin": "B0", "user_id": "U", '
        '"timestamp": 1634275259292, "helpful_vote": 0, "verified_purchase": true}\n'
    )
    return path


def test_list_has_every_data_set_with_tables_rows_and_licence(run: Callable) -> None:
    output = run("list").output

    for name, dataset in DATASETS.items():
        assert name in output
        assert all(table in output for table in dataset.tables)
    assert "20,940,529" in output
    assert "CC BY 4.0" in output


def test_list_says_what_is_cached(run: Callable, reviews: Path) -> None:
    before = next(line for line in run("list").output.splitlines() if "amazon_reviews" in line)
    run("fetch", "amazon_reviews", "--from", reviews)
    after = next(line for line in run("list").output.splitlines() if "amazon_reviews" in line)

    assert before.rstrip("│ ").endswith("no")
    assert after.rstrip("│ ").endswith("yes")


@pytest.mark.parametrize("name", DATASETS)
def test_description_has_all_that_is_known(run: Callable, name: str) -> None:
    result = run("describe", name)

    dataset = DATASETS[name]
    assert result.exit_code == 0
    for known in (dataset.summary, dataset.licence, dataset.citation, dataset.data or ""):
        assert known in result.output
    for key, table in dataset.tables.items():
        assert f"dataset://{name}/{key}" in result.output
        assert all(column.name in result.output for column in table.columns)


def test_fetch_tells_rows_and_place_and_the_second_one_does_nothing(
    run: Callable, reviews: Path
) -> None:
    first = run("fetch", "amazon_reviews", "--from", reviews).output.splitlines()
    second = run("fetch", "amazon_reviews", "--from", reviews).output.splitlines()

    assert first[0] == "dataset://amazon_reviews/reviews: 1 rows"
    place = first[1].removeprefix("amazon_reviews: ")
    assert Path(place, "reviews.parquet").exists()
    assert second == [f"amazon_reviews: already in the cache, unchanged: {place}"]


def test_fetch_says_when_rows_are_not_those_that_were_published(
    run: Callable, tmp_path: Path
) -> None:
    (tmp_path / "train.txt").write_text("\t".join(["1", *[""] * 39]) + "\n")

    output = run("fetch", "criteo", "--from", tmp_path / "train.txt").output

    assert "dataset://criteo/impressions: 1 rows; 45,840,617 are published" in output


def test_error_leaves_as_a_user_error(run: Callable) -> None:
    result = run("fetch", "criteo")

    assert isinstance(result.exception, UserError)
    assert "tfrec datasets fetch criteo --from PATH" in str(result.exception)


@pytest.mark.parametrize("command", [[], ["list"], ["describe"], ["fetch"]])
def test_help_has_examples(run: Callable, command: list[str]) -> None:
    assert "tfrec datasets " in run(*command, "--help").output.partition("Example")[2]
