"""Work on wide matrices, cut into rows that fit into a core's cache."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_PIECE_BYTES = 4 << 20
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="pieces")

_Found = TypeVar("_Found")


def map_pieces(find: Callable[[slice], _Found], rows: int, columns: int) -> list[_Found]:
    """Calls a function with pieces of the rows of a matrix, two at a time.

    Args:
      find: takes a slice of rows; called once even if there is none.
      rows: of the matrix.
      columns: of the matrix, numbers of four bytes.

    Returns:
      What the function gives, in the order of the rows.
    """
    size = max(_PIECE_BYTES // (4 * columns), 1)
    starts = range(0, max(rows, 1), size)
    return list(_THREADS.map(find, (slice(start, start + size) for start in starts)))
