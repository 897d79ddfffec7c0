"""The project in `examples/pipeline`, with a handful of ratings in place of its data set."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

PROJECT = Path(__file__).parents[1] / "examples" / "pipeline"
GENRES = ("Comedy", "Drama", "Western")
PEOPLE, FILMS, RATINGS, DAYS = 40, 60, 3000, 60


def make_films(folder: Path, seed: int = 0) -> list[str]:
    """Copies the project's code and makes ratings of people who each like one genre.

    Returns:
      Options of the command line that make the project small and keep it below `folder`.
    """
    for file in (*PROJECT.glob("*.py"), *PROJECT.glob("*.yaml")):
        shutil.copy(file, folder)
    random = np.random.default_rng(seed)
    people, films = random.integers(PEOPLE, size=RATINGS), random.integers(FILMS, size=RATINGS)
    liked = (films % len(GENRES) == people % len(GENRES)) | (random.random(RATINGS) < 0.2)
    seconds = 1_000_000_000 + np.sort(random.integers(DAYS * 86_400, size=RATINGS))
    ratings = {
        "user_id": [f"person-{number}" for number in people[liked]],
        "item_id": [f"film-{number}" for number in films[liked]],
        "timestamp": pa.array(seconds[liked], pa.timestamp("s")),
    }
    items = {
        "item_id": [f"film-{number}" for number in range(FILMS)],
        "title": [f"Film {number}" for number in range(FILMS)],
        "release_year": pa.array(1930 + np.arange(FILMS)),
        "genres": [[GENRES[number % len(GENRES)]] for number in range(FILMS)],
    }
    pa.parquet.write_table(pa.table(ratings), folder / "ratings.parquet")
    pa.parquet.write_table(pa.table(items), folder / "items.parquet")
    small = {
        "data.events.source": "ratings.parquet",
        "data.items.source": "items.parquet",
        "data.split": "{kind: time, validation: 7d, test: 7d}",
        "data.shards": "1",
        "training": "{strategy: single, batch_size: 256, epochs: 2}",
        "evaluation.k": "[10]",
        "evaluation.bless": "[{metric: recall@10, over: 0.02}]",
        "serving.k": "10",
    }
    return [part for name, value in small.items() for part in (f"--{name}", value)]
