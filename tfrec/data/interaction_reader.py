"""A part's events, read from prepared data for fitted models."""

import numpy as np

from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.events import event_files, first_and_last
from tfrec.data.interactions import Interactions
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.data.shard import Shard
from tfrec.data.splits import make_split
from tfrec.errors import UserError


def read_interactions(
    prepared: PreparedData, config: DataConfig, part: str = TRAIN
) -> Interactions:
    """Reads the events of a part that count in training.

    Which events these are follows from the config; the prepared events alone do not tell.

    Args:
      prepared: prepared data.
      config: the `data` section that it was prepared with.
      part: `train`, `validation` or `test`.

    Returns:
      The events; shoppers are numbered in the order of the files, and only those of the part.

    Raises:
      UserError: if there is no such event.
    """
    catalogue = Catalogue(prepared.catalogue)
    split = make_split(config.split, *first_and_last(prepared.events), config.seed)
    n_users, pieces = 0, []
    for file in event_files(prepared.events):
        # Features are not read, so it need not be known where they are.
        shard = Shard(file, Columns({}), catalogue, config, split)
        rows = shard.of_part(part)
        shoppers, users = np.unique(shard.numbers[rows], return_inverse=True)
        columns = shard.item_rows, shard.weights, shard.times
        pieces.append([n_users + users, *(column[rows] for column in columns)])
        n_users += len(shoppers)
    if not n_users:
        raise UserError(f"data.split: no event of {part} counts; give it more, or other shares")
    users, items, weights, times = map(np.concatenate, zip(*pieces, strict=True))
    return Interactions(users, items, weights, times, n_users, len(catalogue))
