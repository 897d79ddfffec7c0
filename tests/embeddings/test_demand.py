import numpy as np
import pytest

from tfrec.embeddings.demand import counted_demand, zipf_demand


def test_counted_rows_have_their_shares_of_the_lookups() -> None:
    demand = counted_demand(np.array([7, 3, 7, 7, 0, 3]), examples=2)

    assert demand.lookups == 3
    assert demand.rows.tolist() == [0, 3, 7]
    np.testing.assert_allclose(demand.shares, [1 / 6, 2 / 6, 3 / 6])
    assert not demand.assumed


def test_distinct_rows_of_a_batch_are_those_that_random_batches_have() -> None:
    random = np.random.default_rng(1)
    demand = counted_demand(random.zipf(1.3, 4000) % 500, examples=2000)
    batches = [random.choice(demand.rows, size=2 * 100, p=demand.shares) for _ in range(400)]
    seen = np.mean([np.isin(demand.rows, batch) for batch in batches], axis=0)

    expected = demand.distinct(examples=100)

    assert abs(expected - seen).max() < 0.1
    assert expected.sum() == pytest.approx(seen.sum(), rel=0.02)


def test_row_with_all_lookups_is_in_every_batch() -> None:
    demand = counted_demand(np.array([5, 5, 5]), examples=3)

    assert demand.distinct(examples=10).tolist() == [1.0]


def test_table_nobody_asks_for_has_no_rows_in_a_batch() -> None:
    demand = counted_demand(np.array([], np.int64), examples=3)

    assert demand.distinct(examples=10).sum() == 0


@pytest.mark.parametrize("ordered", [True, False])
def test_zipf_gives_every_row_the_share_of_its_rank(ordered: bool) -> None:
    demand = zipf_demand(50, lookups=2, ordered=ordered)

    whole = sum(1 / rank for rank in range(1, 51))
    np.testing.assert_allclose(demand.shares, [1 / rank / whole for rank in range(1, 51)])
    assert sorted(demand.rows) == list(range(50))
    assert (demand.rows.tolist() == list(range(50))) == ordered
    assert demand.assumed


def test_large_table_in_blocks_has_the_distinct_rows_of_one_row_by_row() -> None:
    rows = 3_000_000
    demand = zipf_demand(rows, lookups=20, ordered=False)
    shares = 1 / np.arange(1, rows + 1)
    shares /= shares.sum()

    distinct = demand.distinct(examples=4096)

    assert demand.rows.size < rows / 2
    assert (demand.shares * demand.alike).sum() == pytest.approx(1)
    assert len(set(demand.rows.tolist())) == demand.rows.size
    assert demand.rows.max() < rows
    plain = -np.expm1(4096 * 20 * np.log1p(-shares)).sum()
    assert distinct.sum() == pytest.approx(plain, rel=1e-3)
