"""Small logs in memory."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tfrec.data.interactions import Interactions

N_USERS, N_ITEMS = 40, 12

Event = tuple[int, int, float, int]
"""User, item, weight and time."""


@pytest.fixture(scope="session")
def make_log() -> Callable[..., Interactions]:
    """Makes a log of events, by default as large as `log`."""

    def make(
        events: Sequence[Event], n_users: int = N_USERS, n_items: int = N_ITEMS
    ) -> Interactions:
        users, items, weights, times = zip(*events, strict=True) if events else ((),) * 4
        return Interactions(
            users=np.array(users, np.int64),
            items=np.array(items, np.int64),
            weights=np.array(weights, np.float32),
            times=np.array(times, np.int64),
            n_users=n_users,
            n_items=n_items,
        )

    return make


@pytest.fixture(scope="session")
def log(make_log: Callable[..., Interactions]) -> Interactions:
    """Random events with repeats; the last shopper and the last item have none."""
    random = np.random.default_rng(0)
    return make_log(
        [
            (
                int(random.integers(N_USERS - 1)),
                int((N_ITEMS - 1) * random.random() ** 2),
                float(random.choice([1, 2, 0.5])),
                int(random.integers(1000)),
            )
            for _ in range(250)
        ]
    )


@pytest.fixture(scope="session")
def baskets(log: Interactions) -> list[set[int]]:
    """The items of each shopper."""
    chosen: list[set[int]] = [set() for _ in range(log.n_users)]
    for user, item in zip(log.users, log.items, strict=True):
        chosen[user].add(int(item))
    return chosen
