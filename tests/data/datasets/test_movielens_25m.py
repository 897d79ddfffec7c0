from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tfrec.data import datasets
from tfrec.errors import UserError

FILES = {
    "ratings.csv": "userId,movieId,rating,timestamp\n1,296,5.0,1147880044\n1,306,3.5,1147868817\n",
    "movies.csv": (
        "movieId,title,genres\n"
        "1,Toy Story (1995),Adventure|Animation|Children|Comedy|Fantasy\n"
        '11,"American President, The (1995)",Comedy|Drama|Romance\n'
        '40697,"""Great Performances"" Cats (1998)",Musical\n'
        "171011,Planet Earth II (2016) ,(no genres listed)\n"
        "171749,Death Note: Desu nôto (2006\u20132007),(no genres listed)\n"
    ),
    "tags.csv": (
        "userId,movieId,tag,timestamp\n"
        "3,260,classic,1439472355\n"
        '4,1732,"dark, very dark",1573943598\n'
        "4,44665,NA,1573943619\n"
    ),
    "links.csv": "movieId,imdbId,tmdbId\n1,0114709,862\n791,0113610,\n",
    "genome-scores.csv": "movieId,tagId,relevance\n1,1,0.028749999999999998\n",
    "genome-tags.csv": "tagId,tag\n1,007\n2,007 (series)\n",
}


@pytest.fixture
def published(write: Callable) -> Path:
    """A directory with all files."""
    for name, text in FILES.items():
        write(f"ml-25m/{name}", text.replace("\n", "\r\n"))
    return write("ml-25m/README.txt", "Summary")


def test_films_have_title_year_and_genres_apart(published: Path, read: Callable) -> None:
    datasets.fetch_dataset("movielens_25m", published)

    films = read("movielens_25m", "items")
    assert [(film["title"], film["release_year"]) for film in films] == [
        ("Toy Story", 1995),
        ("American President, The", 1995),
        ('"Great Performances" Cats', 1998),
        ("Planet Earth II", 2016),
        ("Death Note: Desu nôto (2006\u20132007)", None),
    ]
    assert films[1]["genres"] == ["Comedy", "Drama", "Romance"]
    assert films[3]["genres"] is None


def test_other_tables_are_as_published(published: Path, read: Callable) -> None:
    datasets.fetch_dataset("movielens_25m", published)

    tables = {table: read("movielens_25m", table) for table in ("ratings", "tags", "links")}
    assert tables["ratings"][1] == {
        "user_id": "1",
        "item_id": "306",
        "rating": 3.5,
        "timestamp": datetime(2006, 5, 17, 12, 26, 57),
    }
    assert [row["tag"] for row in tables["tags"]] == ["classic", "dark, very dark", "NA"]
    assert tables["links"][0] == {"item_id": "1", "imdb_id": "0114709", "tmdb_id": "862"}
    assert tables["links"][1]["tmdb_id"] is None
    assert read("movielens_25m", "genome_scores")[0]["relevance"] == 0.028749999999999998
    assert read("movielens_25m", "genome_tags")[0] == {"tag_id": "1", "tag": "007"}


def test_file_of_another_header_is_named(published: Path, write: Callable) -> None:
    write("ml-25m/tags.csv", "user,movie,tag,when\n1,2,x,3\n")

    with pytest.raises(UserError, match=r"tags\.csv: .*userId.* give the file as published"):
        datasets.fetch_dataset("movielens_25m", published)
