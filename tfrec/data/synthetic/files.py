"""The folder of files that a synthetic shop is written to."""

import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import yaml

from tfrec.data.synthetic.config import SyntheticShop
from tfrec.data.synthetic.draws import DAY_SECONDS
from tfrec.data.synthetic.events import draw_events
from tfrec.data.synthetic.items import draw_items
from tfrec.data.synthetic.promotions import draw_periods
from tfrec.data.synthetic.users import draw_users
from tfrec.errors import UserError

Progress = Callable[[int, int], None]
"""Told how many events are made, and of how many."""

_WEIGHTS = {"impression": 0.0, "click": 0.0, "view": 1.0, "cart": 2.0, "purchase": 4.0}
"""How much an event counts in training; labels may use what counts nothing."""


def generate(config: SyntheticShop, folder: Path, progress: Progress | None = None) -> Path:
    """Writes a synthetic shop: what a shop has, the truth behind it, and a config to run on it.

    `events/*.parquet` (in order of time), `items.parquet`, `users.parquet`, `promotions.parquet`;
    the truth is in `complements.parquet` and `tastes.parquet`. The same config gives the same rows.

    Args:
      config: the shop.
      folder: where to; made anew, and only once all is written.
      progress: told after each block of events.

    Returns:
      Path of `experiment.yaml`, which `tfrec run` takes.

    Raises:
      UserError: if `folder` exists and is not an empty directory.
    """
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: exists already; give a new or an empty folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        made = Path(scratch, "shop")
        (made / "events").mkdir(parents=True)
        _write(config, made, progress or (lambda done, total: None))
        (made / "experiment.yaml").write_text(_experiment(config, folder))
        made.rename(folder)
    return folder / "experiment.yaml"


def _write(config: SyntheticShop, folder: Path, progress: Progress) -> None:
    items = draw_items(config)
    users = draw_users(config, items)
    complements = items.complement_table(config.complements.chance)
    _write_tables(folder / "items.parquet", [items.table()])
    _write_tables(folder / "complements.parquet", [complements])
    _write_tables(folder / "users.parquet", [users.table()])
    _write_tables(folder / "tastes.parquet", [users.taste_table()])
    periods = (period.table(items) for period in draw_periods(config, items))
    _write_tables(folder / "promotions.parquet", periods)
    events = _watch(draw_events(config, items, users), config.events, progress)
    for number, table in enumerate(_cut(events, config.events_per_file)):
        _write_tables(folder / "events" / f"events-{number:05d}.parquet", [table])


def _write_tables(path: Path, tables: Iterable[pa.Table]) -> None:
    remaining = iter(tables)
    first = next(remaining)
    with pa.parquet.ParquetWriter(path, first.schema) as writer:
        for table in itertools.chain([first], remaining):
            writer.write_table(table)


def _watch(tables: Iterable[pa.Table], total: int, progress: Progress) -> Iterator[pa.Table]:
    """Passes tables on and tells of them."""
    done = 0
    for table in tables:
        yield table
        done += len(table)
        progress(done, total)


def _cut(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Cuts a stream of rows into tables of a given length; the last may be shorter."""
    held, count = [], 0
    for table in tables:
        held.append(table)
        count += len(table)
        while count >= rows:
            joined = pa.concat_tables(held)
            yield joined.slice(0, rows)
            held, count = [joined.slice(rows)], count - rows
    if count:
        yield pa.concat_tables(held)


def _experiment(config: SyntheticShop, folder: Path) -> str:
    """A config whose validation and test windows are a tenth of the log each."""
    window = f"{max(1, config.days * DAY_SECONDS // 10 // 3600)}h"

    def feature(role: str, embedding: int) -> dict[str, object]:
        return {"role": role, "kind": "categorical", "embedding": embedding}

    content = {
        "name": folder.name,
        "data": {
            "events": {
                "source": f"{folder}/events/*.parquet",
                "user": "user_id",
                "item": "item_id",
                "time": "time",
                "type_column": "event",
                "weights": _WEIGHTS,
            },
            "items": {"source": f"{folder}/items.parquet", "id": "item_id", "name": ["title"]},
            "promotions": {
                "source": f"{folder}/promotions.parquet",
                "item": "item_id",
                "start": "start",
                "end": "end",
            },
            "split": {"kind": "time", "validation": window, "test": window},
            "targets": ["purchase"],
            "pairs": {"within": "session", "types": ["purchase"]},
        },
        "features": {
            "user_id": feature("user", 32),
            "recent_items": {"role": "user", "kind": "sequence", "of": "item_id", "last": 20},
            "item_id": feature("item", 32),
            "category": feature("item", 8),
            "brand": feature("item", 16),
            "channel": feature("context", 2),
            "weekday": feature("context", 4),
        },
        "serving": {"name": folder.name, "root": "serving/"},
    }
    return yaml.safe_dump(content, sort_keys=False)
