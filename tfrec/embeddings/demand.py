"""How often training asks for which rows of an embedding table."""

from dataclasses import dataclass

import numpy as np

_EXACT_ROWS = 2**20
_TAIL_BLOCKS = 2**16


@dataclass(frozen=True)
class Demand:
    """The lookups in a table, of all features that use it.

    Attributes:
      lookups: per example, repeated rows and all.
      rows: `[n]` int64 rows of the table.
      shares: `[n]` float64, share of the lookups that goes to each row.
      alike: `[n]` float64, how many rows each entry stands for; their shares are the same.
      assumed: whether nobody counted.
    """

    lookups: float
    rows: np.ndarray
    shares: np.ndarray
    alike: np.ndarray
    assumed: bool

    def distinct(self, examples: float) -> np.ndarray:
        """Expects how many rows a batch asks for, of those that each entry stands for.

            alike * (1 - (1 - share) ^ (examples * lookups))

        Args:
          examples: in the batch.

        Returns:
          `[n]` float64.
        """
        with np.errstate(divide="ignore"):  # a row may have all lookups
            log_missed = examples * self.lookups * np.log1p(-self.shares)
        return -self.alike * np.expm1(log_missed)


def counted_demand(lookups: np.ndarray, examples: int) -> Demand:
    """Takes what examples ask for.

    Args:
      lookups: `[any]` int64 rows of the table, repeated ones and all; at least one.
      examples: number of examples that ask for them.

    Returns:
      The demand.
    """
    rows, counts = np.unique(lookups, return_counts=True)
    shares = counts / lookups.size
    return Demand(lookups.size / examples, rows, shares, np.ones(rows.size), assumed=False)


def zipf_demand(table_rows: int, lookups: float, ordered: bool) -> Demand:
    """Assumes Zipf's law: the row of rank `r` has a share proportional to `1 / r`.

    Ranks behind the first million are put together in 65,536 blocks.

    Args:
      table_rows: rows of the table.
      lookups: per example.
      ordered: whether ranks follow the order of the rows; they are in a random one otherwise, as
        where rows are chosen by a hash.

    Returns:
      The demand.
    """
    exact = min(table_rows, _EXACT_ROWS)
    ranks = np.arange(1, exact + 1)
    blocks = min(table_rows - exact, _TAIL_BLOCKS)
    edges = np.linspace(exact, table_rows, blocks + 1)
    alike = np.concatenate([np.ones(exact), np.diff(edges)])
    weights = np.concatenate([1 / ranks, np.diff(np.log(edges)) / np.diff(edges)])
    rows = np.concatenate([ranks - 1, edges[:-1].astype(np.int64)])
    if not ordered:
        evenly = np.arange(rows.size) * table_rows // rows.size
        rows = np.random.default_rng(0).permutation(evenly)
    return Demand(lookups, rows, weights / (alike * weights).sum(), alike, assumed=True)
