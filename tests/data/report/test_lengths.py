from collections.abc import Callable

import numpy as np
import pytest

from tfrec.config import validate
from tfrec.data.config import DataConfig
from tfrec.data.report.lengths import Lengths, ShopperLengths

EVENTS = [
    ("a", 0, 1, "buy"), ("a", 0, 2, "buy"), ("a", 100, 1, "view"), ("a", 5000, 3, "buy"),
    ("b", 7, 1, "view"),
    ("c", 8, 1, "buy"),
]  # fmt: skip


def test_lengths_add_up_over_files() -> None:
    lengths = Lengths()
    for some in ([1, 2, 2], [], [7], [1]):
        lengths.add(np.array(some, np.int64))

    assert lengths.counts.tolist() == [0, 2, 2, 0, 0, 0, 0, 1]
    assert lengths.total == 5
    assert lengths.longest == 7
    assert lengths.mean == pytest.approx(13 / 5)
    assert [lengths.quantile(share) for share in (0.2, 0.5, 0.8, 1)] == [1, 2, 2, 7]


def test_baskets_are_of_one_moment_and_sessions_end_in_silence(
    shard_of: Callable, small_config: DataConfig
) -> None:
    log = {**small_config.events[0].model_dump(), "weights": {"buy": 1, "view": 0}}
    content = {**small_config.model_dump(), "events": log}
    config = validate(DataConfig, content)
    lengths = ShopperLengths(session_gap=1000)

    lengths.add(shard_of(EVENTS, config=config))

    assert _as_list(lengths.histories) == [1, 3]
    assert _as_list(lengths.baskets) == [1, 2]
    assert _as_list(lengths.basket_sizes) == [1, 1, 2]
    assert _as_list(lengths.sessions) == [1, 1, 1, 3]


def _as_list(lengths: Lengths) -> list[int]:
    return np.repeat(np.arange(len(lengths.counts)), lengths.counts).tolist()
