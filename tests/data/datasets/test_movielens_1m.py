import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tfrec.data import datasets
from tfrec.errors import UserError

RATINGS = "1::1193::5::978300760\n1::73::3::978302109\n2::73::4::978298413\n"
USERS = "1::F::1::10::48067\n2::M::56::16::70072-1234\n"
MOVIES = (
    "73::Misérables, Les (1995)::Drama|Musical\n"
    "1193::One Flew Over the Cuckoo's Nest (1975)::Drama\n"
    "1147::When We Were Kings (1996)::Documentary\n"
    "260::Star Wars: Episode IV - A New Hope (1977)::Action|Adventure|Fantasy|Sci-Fi\n"
)


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Path]:
    """Makes an ml-1m.zip."""

    def make(ratings: str = RATINGS, users: str = USERS, movies: str = MOVIES) -> Path:
        path = tmp_path / "ml-1m.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as files:
            files.writestr("__MACOSX/ml-1m/._ratings.dat", "Mac OS X")
            files.writestr("ml-1m/README", "SUMMARY")
            for name, text in (("ratings", ratings), ("users", users), ("movies", movies)):
                files.writestr(f"ml-1m/{name}.dat", text.encode("latin-1"))
        return path

    return make


def test_ratings_have_moments_and_ids_as_text(archive: Callable, read: Callable) -> None:
    datasets.fetch_dataset("movielens_1m", archive())

    first, *others = read("movielens_1m", "ratings")
    assert first == {
        "user_id": "1",
        "item_id": "1193",
        "rating": 5.0,
        "timestamp": datetime(2000, 12, 31, 22, 12, 40),
    }
    assert len(others) == 2


def test_films_have_title_year_and_genres_apart(archive: Callable, read: Callable) -> None:
    datasets.fetch_dataset("movielens_1m", archive())

    films = read("movielens_1m", "items")
    assert films[0] == {
        "item_id": "73",
        "title": "Misérables, Les",
        "release_year": 1995,
        "genres": ["Drama", "Musical"],
    }
    assert films[3]["title"] == "Star Wars: Episode IV - A New Hope"


def test_codes_of_users_are_written_out(archive: Callable, read: Callable) -> None:
    datasets.fetch_dataset("movielens_1m", archive())

    assert read("movielens_1m", "users") == [
        {
            "user_id": "1",
            "gender": "F",
            "age": "Under 18",
            "occupation": "K-12 student",
            "zip_code": "48067",
        },
        {
            "user_id": "2",
            "gender": "M",
            "age": "56+",
            "occupation": "self-employed",
            "zip_code": "70072-1234",
        },
    ]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"ratings": RATINGS + "2::73::4\n"}, r"ratings\.dat: .*Row #4: Expected 4 columns, got 3"),
        ({"ratings": RATINGS + "2::73::x::978298413\n"}, r"ratings\.dat: .*Row #4: .*'x'"),
        ({"ratings": ""}, r"ratings\.dat: Empty CSV file"),
        ({"users": "1::F::2::10::48067\n"}, r"users\.dat: age 2 is no code"),
        ({"users": "1::F::1::21::48067\n"}, r"users\.dat: occupation 21 is no code"),
    ],
)
def test_row_that_does_not_fit_is_named_with_its_file(
    archive: Callable, cache: Path, broken: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        datasets.fetch_dataset("movielens_1m", archive(**broken))

    assert list(cache.glob("[!.]*")) == []
