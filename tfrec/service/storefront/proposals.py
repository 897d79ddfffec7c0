"""Shoppers whom a visitor may want to be."""

from pathlib import Path

import pyarrow.parquet as pq

from tfrec.data.events import USER

_MOST = 12


def some_shoppers(profiles: Path) -> list[str]:
    """Ids of a few shoppers that have events.

    Args:
      profiles: directory of prepared profiles; where it is not there nobody is proposed.
    """
    for file in sorted(profiles.glob("*.parquet")):
        for batch in pq.ParquetFile(file).iter_batches(_MOST, columns=[USER]):
            return [str(user) for user in batch.column(0).to_pylist()]
    return []
