"""Who did what to which item when: a part's events in memory, as fitted models take them."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.events import event_files, first_and_last
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.data.shard import Shard
from tfrec.data.splits import make_split
from tfrec.errors import UserError


@dataclass(frozen=True)
class Interactions:
    """Events of shoppers with items, one a place; a pair may come several times.

    Attributes:
      users: `[events]` int64, the shoppers as whole numbers from 0 on.
      items: `[events]` int64 rows of the catalogue.
      weights: `[events]` float32, how much each event counts.
      times: `[events]` int64 seconds since 1970.
      n_users: number of shoppers.
      n_items: rows of the catalogue.
    """

    users: np.ndarray
    items: np.ndarray
    weights: np.ndarray
    times: np.ndarray
    n_users: int
    n_items: int

    def __len__(self) -> int:
        """The number of events."""
        return len(self.users)

    def matrix(self, weighted: bool = False) -> sparse.csr_matrix:
        """The events by shopper and item: `[users, items]` float32.

        Args:
          weighted: whether a pair holds the sum of its events' weights, or else 1.
        """
        shape = self.n_users, self.n_items
        matrix = sparse.csr_matrix((self.weights, (self.users, self.items)), shape, np.float32)
        if not weighted:
            matrix.data[:] = 1
        return matrix

    def decayed(self, half_life_seconds: float) -> "Interactions":
        """Lets weights fade: an event counts half of one that came a half life later.

        The newest event keeps its weight.
        """
        newest = self.times.max(initial=np.iinfo(np.int64).min)
        fading = np.exp2((self.times - newest) / half_life_seconds)
        return replace(self, weights=(self.weights * fading).astype(np.float32))


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
