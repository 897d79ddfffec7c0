"""MovieLens: film ratings, in three sizes and three formats."""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.datasets.dataset import Column, Dataset, Published, Reader, Table, Wheel
from tfrec.data.datasets.delimited import read_delimited
from tfrec.data.datasets.source_file import SourceFile
from tfrec.errors import UserError

_TEXT, _NUMBER, _FLOAT = pa.string(), pa.int64(), pa.float64()

_AGES = {
    1: "Under 18", 18: "18-24", 25: "25-34", 35: "35-44", 45: "45-49", 50: "50-55", 56: "56+",
}  # fmt: skip
_OCCUPATIONS = dict(
    enumerate((
        "other", "academic/educator", "artist", "clerical/admin", "college/grad student",
        "customer service", "doctor/health care", "executive/managerial", "farmer", "homemaker",
        "K-12 student", "lawyer", "programmer", "retired", "sales/marketing", "scientist",
        "self-employed", "technician/engineer", "tradesman/craftsman", "unemployed", "writer",
    ))
)  # fmt: skip


def _atomic(types: Mapping[str, pa.DataType]) -> Reader:
    """Reads a RecBole file: tab separated, `name:kind` in the header."""

    def read(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
        for file in files:
            for piece in read_delimited(file, types, delimiter="\t", quoted=False):
                yield piece.rename_columns([name.partition(":")[0] for name in types])

    return read


def _read_100k_ratings(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    types = {
        "user_id:token": _TEXT,
        "item_id:token": _TEXT,
        "rating:float": _FLOAT,
        "timestamp:float": _NUMBER,
    }
    return map(_with_timestamp, _atomic(types)(files))


def _read_100k_users(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    types = {
        "user_id:token": _TEXT,
        "age:token": _NUMBER,
        "gender:token": _TEXT,
        "occupation:token": _TEXT,
        "zip_code:token": _TEXT,
    }
    return _atomic(types)(files)


def _read_100k_items(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    types = dict.fromkeys(
        ("item_id:token", "movie_title:token_seq", "release_year:token", "class:token_seq"), _TEXT
    )
    for piece in _atomic(types)(files):
        item, title, year, genres = piece.columns
        # Two films have letters in place of their year.
        known = pc.match_substring_regex(year, r"^\d{4}$")
        years = pc.if_else(known, year, None).cast(_NUMBER)
        yield _items(item, title, years, pc.split_pattern(genres, " "))


def _double_colons(types: Mapping[str, pa.DataType]) -> Reader:
    """Reads a file of MovieLens 1M: `::` between values, no header, Latin-1."""

    def read(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
        for file in files:
            yield from read_delimited(
                file, types, delimiter="::", header=False, quoted=False, encoding="latin-1"
            )

    return read


def _read_1m_ratings(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    types = {"user_id": _TEXT, "item_id": _TEXT, "rating": _FLOAT, "timestamp": _NUMBER}
    return map(_with_timestamp, _double_colons(types)(files))


def _read_1m_users(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    types = {
        "user_id": _TEXT,
        "gender": _TEXT,
        "age": _NUMBER,
        "occupation": _NUMBER,
        "zip_code": _TEXT,
    }
    for piece in _double_colons(types)(files):
        user, gender, age, occupation, zip_code = piece.columns
        labels = [_labels(files, "age", age, _AGES)]
        labels += [_labels(files, "occupation", occupation, _OCCUPATIONS)]
        yield pa.table([user, gender, *labels, zip_code], list(types))


def _read_1m_items(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    types = dict.fromkeys(("item_id", "title", "genres"), _TEXT)
    return map(_split_items, _double_colons(types)(files))


def _csv(columns: Mapping[str, Column]) -> Reader:
    """Reads a file of MovieLens 25M: CSV; a column `timestamp` holds seconds."""
    types = {
        published: _NUMBER if pa.types.is_timestamp(column.type) else column.type
        for published, column in columns.items()
    }

    def read(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
        for file in files:
            for piece in read_delimited(file, types):
                named = piece.rename_columns([column.name for column in columns.values()])
                yield _with_timestamp(named) if "timestamp" in named.column_names else named

    return read


def _read_25m_items(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    types = dict.fromkeys(("movieId", "title", "genres"), _TEXT)
    for file in files:
        yield from map(_split_items, read_delimited(file, types))


def _with_timestamp(piece: pa.Table) -> pa.Table:
    """Makes moments of the last column's seconds."""
    last = piece.num_columns - 1
    seconds = piece.column(last).cast(pa.timestamp("s"))
    return piece.set_column(last, piece.column_names[last], seconds)


def _split_items(piece: pa.Table) -> pa.Table:
    """Takes `Title (1995)` and `Drama|War` apart."""
    item, titles, genres = piece.columns
    parts = pc.extract_regex(titles, r"^(?P<title>.*?)\s*\((?P<year>\d{4})\)\s*$")
    title = pc.coalesce(pc.struct_field(parts, [0]), titles)
    year = pc.struct_field(parts, [1]).cast(_NUMBER)
    named = pc.if_else(pc.equal(genres, "(no genres listed)"), None, genres)
    return _items(item, title, year, pc.split_pattern(named, "|"))


def _items(*columns: pa.ChunkedArray) -> pa.Table:
    return pa.table(columns, [column.name for column in _ITEMS])


def _labels(
    files: Sequence[SourceFile], name: str, codes: pa.ChunkedArray, labels: Mapping[int, str]
) -> pa.ChunkedArray:
    """Writes codes out."""
    places = pc.index_in(codes, value_set=pa.array(list(labels)))
    unknown = codes.filter(pc.is_null(places))
    if len(unknown):
        raise UserError(f"{files[0]}: {name} {unknown[0]} is no code of it; give it as published")
    return pa.chunked_array([pa.array(list(labels.values())).take(places.combine_chunks())])


_USER = Column("user_id", _TEXT, "who rated")
_ITEM = Column("item_id", _TEXT, "the film")
_TIME = Column("timestamp", pa.timestamp("ms"), "when, UTC, to the second")
_RATINGS = (_USER, _ITEM, Column("rating", _FLOAT, "stars, at most 5"), _TIME)
_ITEMS = (
    _ITEM,
    Column("title", _TEXT, "without the year"),
    Column("release_year", _NUMBER, "null where the source gives none"),
    Column("genres", pa.list_(_TEXT), "in the order of the source; null where none are listed"),
)
_GENDER = Column("gender", _TEXT, "M or F")
_OCCUPATION = Column("occupation", _TEXT, "as chosen from a list")
_ZIP_CODE = Column("zip_code", _TEXT, "postal code, as typed")
_TAG_ID = Column("tag_id", _TEXT, "tag of the genome")

_25M_RATINGS = dict(zip(("userId", "movieId", "rating", "timestamp"), _RATINGS, strict=True))
_25M_TAGS = {
    "userId": Column("user_id", _TEXT, "who tagged"),
    "movieId": _ITEM,
    "tag": Column("tag", _TEXT, "word or phrase, as typed"),
    "timestamp": _TIME,
}
_25M_LINKS = {
    "movieId": _ITEM,
    "imdbId": Column("imdb_id", _TEXT, "at imdb.com, without `tt`"),
    "tmdbId": Column("tmdb_id", _TEXT, "at themoviedb.org"),
}
_25M_GENOME_SCORES = {
    "movieId": _ITEM,
    "tagId": _TAG_ID,
    "relevance": Column("relevance", _FLOAT, "how well the tag fits, 0 to 1"),
}
_25M_GENOME_TAGS = {"tagId": _TAG_ID, "tag": Column("tag", _TEXT, "word or phrase")}

_LICENCE = "GroupLens: research use with acknowledgement; no commercial use without permission"
_CITATION = (
    "F. M. Harper and J. A. Konstan (2015), The MovieLens Datasets: History and Context, "
    "ACM TiiS 5(4), https://doi.org/10.1145/2827872"
)


def _data(name: str, window: str) -> str:
    return f"""\
data:
  events: {{source: dataset://{name}/ratings, user: user_id, item: item_id, time: timestamp}}
  items: {{source: dataset://{name}/items, id: item_id, name: [title]}}
  split: {{kind: time, validation: {window}, test: {window}}}
"""


MOVIELENS_100K = Dataset(
    summary="film ratings of 1997-98, with films and users",
    licence=f"{_LICENCE}; not to be redistributed without permission",
    citation=_CITATION,
    origin=Wheel(
        "recbole==1.2.1", "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
    ),
    tables={
        "ratings": Table(
            "a rating", _RATINGS, _read_100k_ratings, (r"ml-100k\.inter",), rows=100_000
        ),
        "users": Table(
            "who rated",
            (_USER, Column("age", _NUMBER, "years"), _GENDER, _OCCUPATION, _ZIP_CODE),
            _read_100k_users,
            (r"ml-100k\.user",),
            rows=943,
        ),
        "items": Table("a film", _ITEMS, _read_100k_items, (r"ml-100k\.item",), rows=1_682),
    },
    data=_data("movielens_100k", "14d"),
    note="As the package recbole carries it: two films lack their year.",
)

MOVIELENS_1M = Dataset(
    summary="film ratings of 2000-03, with films and users",
    licence=f"{_LICENCE}; not to be redistributed without permission",
    citation=_CITATION,
    origin=Published("ml-1m.zip", "https://grouplens.org/datasets/movielens/1m/"),
    tables={
        "ratings": Table(
            "a rating", _RATINGS, _read_1m_ratings, (r"ratings\.dat",), rows=1_000_209
        ),
        "users": Table(
            "who rated",
            (_USER, _GENDER, Column("age", _TEXT, "range of years"), _OCCUPATION, _ZIP_CODE),
            _read_1m_users,
            (r"users\.dat",),
            rows=6_040,
        ),
        "items": Table("a film", _ITEMS, _read_1m_items, (r"movies\.dat",), rows=3_883),
    },
    data=_data("movielens_1m", "180d"),
)

MOVIELENS_25M = Dataset(
    summary="film ratings of 1995-2019, with tags",
    licence=_LICENCE,
    citation=_CITATION,
    origin=Published("ml-25m.zip", "https://grouplens.org/datasets/movielens/25m/"),
    tables={
        "ratings": Table(
            "a rating", _RATINGS, _csv(_25M_RATINGS), (r"ratings\.csv",), rows=25_000_095
        ),
        "items": Table("a film", _ITEMS, _read_25m_items, (r"movies\.csv",), rows=62_423),
        "tags": Table(
            "a tag that a user gave a film",
            tuple(_25M_TAGS.values()),
            _csv(_25M_TAGS),
            (r"tags\.csv",),
            rows=1_093_360,
        ),
        "links": Table(
            "a film's ids elsewhere",
            tuple(_25M_LINKS.values()),
            _csv(_25M_LINKS),
            (r"links\.csv",),
            rows=62_423,
        ),
        "genome_scores": Table(
            "how well a tag fits a film",
            tuple(_25M_GENOME_SCORES.values()),
            _csv(_25M_GENOME_SCORES),
            (r"genome-scores\.csv",),
            rows=15_584_448,
        ),
        "genome_tags": Table(
            "a tag of the genome",
            tuple(_25M_GENOME_TAGS.values()),
            _csv(_25M_GENOME_TAGS),
            (r"genome-tags\.csv",),
            rows=1_128,
        ),
    },
    data=_data("movielens_25m", "90d"),
)
