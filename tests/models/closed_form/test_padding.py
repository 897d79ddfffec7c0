import numpy as np
from scipy import sparse

from tfrec.models.closed_form.padding import blocks, padded


def test_blocks_hold_every_row_of_some_width_once_and_keep_to_their_size() -> None:
    widths = np.random.default_rng(0).integers(0, 20, 100)

    found = list(blocks(widths, cells=50))

    assert sorted(np.concatenate(found)) == np.flatnonzero(widths).tolist()
    assert all(len(rows) * widths[rows].max() <= 50 for rows in found)


def test_a_row_wider_than_a_block_is_alone() -> None:
    found = list(blocks(np.array([3, 90, 3]), cells=6))

    assert [rows.tolist() for rows in found] == [[1], [0, 2]]


def test_no_rows_make_no_blocks() -> None:
    assert list(blocks(np.array([], np.int64), cells=6)) == []
    assert list(blocks(np.array([0, 0]), cells=6)) == []


def test_short_rows_are_padded_behind_their_last_entry() -> None:
    columns, values = padded(sparse.csr_matrix([[0, 2.5, 0], [0, 0, 0], [1, 0, 4]]))

    assert columns.tolist() == [[1, -1], [-1, -1], [0, 2]]
    assert values.tolist() == [[2.5, 0], [0, 0], [1, 4]]
