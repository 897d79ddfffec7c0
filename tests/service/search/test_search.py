from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from small_grocery import ITEMS

from tfrec.data.catalogue import ID, NAME, Catalogue
from tfrec.service.search.lexical import item_texts
from tfrec.service.search.search import Search

IDS = [item[0] for item in ITEMS]


def found(search: Search, query: str, k: int = 3, allowed: np.ndarray | None = None) -> list[str]:
    return [IDS[row] for row in search.find(query, k, allowed).rows]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("milk", "milk"),
        ("chicken soup", "soup"),
        ("frozen pizza for tonight", "pizza"),
        ("soda", "cola"),
        ("peanut butter", "butter"),
        ("chocolte cookies", "cookies"),
        ("something to drink: tea", "tea"),
        ("WINE!!! white", "white"),
    ],
)
def test_best_item_has_the_words(search: Search, query: str, first: str) -> None:
    assert found(search, query)[0] == first


def test_items_with_the_same_words_come_in_order_of_popularity(search: Search) -> None:
    assert found(search, "bag snacks", 4) == ["chips", "crackers", "popcorn", "trail"]


def test_what_is_asked_for_counts_more_than_what_it_is_for(search: Search) -> None:
    assert found(search, "bread for chicken soup")[0] == "bread"


def test_scores_fall_and_are_positive(search: Search) -> None:
    scores = search.find("chocolate milk", 10).scores

    assert len(scores) > 2
    assert (np.diff(scores) <= 0).all()
    assert (scores > 0).all()


def test_only_allowed_items_are_found(search: Search) -> None:
    allowed = np.array([item != "milk" for item in IDS])

    assert "milk" in found(search, "milk", 10)
    assert "milk" not in found(search, "milk", 10, allowed)
    assert found(search, "milk", 10, np.zeros(len(IDS), bool)) == []


@pytest.mark.parametrize(
    "query", ["", "the and of", "<script>", "123456", "Schokolade ohne Nüsse", "\U0001f355"]
)
def test_nothing_is_found_where_no_word_is_known(search: Search, query: str) -> None:
    assert found(search, query) == []


def test_words_that_the_catalogue_lacks_are_named(search: Search) -> None:
    assert search.unknown("some zebra milk, please") == ("zebra",)


def test_having_a_phrase_needs_all_its_words(search: Search) -> None:
    assert {IDS[row] for row in search.having("dark chocolate").nonzero()[0]} == {"dark"}
    assert not search.having("").any()
    assert not search.having("zebra").any()


def test_texts_are_names_and_features_that_hold_words(tmp_path: Path) -> None:
    table = {
        ID: ["1", "2"],
        NAME: ["Milk", None],
        "genres": [["a b", "c"], None],
        "maker": ["17", "18"],
        "price": [1.0, 2.0],
        "group": ["DAIRY", None],
    }
    pa.parquet.write_table(pa.table(table), tmp_path / "catalogue.parquet")

    texts = item_texts(Catalogue(tmp_path / "catalogue.parquet"))

    assert [text.split() for text in texts] == [["Milk", "a", "b", "c", "DAIRY"], []]


def test_catalogue_without_any_word_finds_nothing(tmp_path: Path) -> None:
    table = pa.table({ID: ["1"], NAME: ["--"]})
    pa.parquet.write_table(table, tmp_path / "catalogue.parquet")
    search = Search(Catalogue(tmp_path / "catalogue.parquet"))

    assert len(search.find("milk", 5).rows) == 0
    assert search.unknown("milk") == ("milk",)


def test_long_question_counts_its_first_words(search: Search) -> None:
    many = " ".join(f"zebra{number}" for number in range(40))

    assert found(search, f"{many} milk") == []
    assert found(search, f"milk {many}")[0] == "milk"
