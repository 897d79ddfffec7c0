from collections.abc import Callable

import numpy as np
import pytest

from tfrec.config import validate
from tfrec.data.interactions import Interactions
from tfrec.models.closed_form import Popularity


def fitted(log: Interactions, **settings: object) -> Popularity:
    model = Popularity(validate(Popularity.Settings, settings))
    model.fit(log)
    return model


def test_items_rank_by_the_weight_of_their_events_for_everybody(log: Interactions) -> None:
    scores = fitted(log).scores(log.matrix())

    expected = [0.0] * log.n_items
    for item, weight in zip(log.items, log.weights, strict=True):
        expected[item] += float(weight)
    assert scores.tolist() == [expected] * log.n_users


def test_an_event_counts_half_after_each_half_life(
    make_log: Callable[..., Interactions],
) -> None:
    log = make_log([(0, 0, 1, 1000), (0, 1, 8, 970), (1, 2, 1, 990), (1, 2, 2, 980)], n_items=4)

    model = fitted(log, half_life=10)

    assert model.popularity.tolist() == [1, 1, 1, 0]


def test_what_is_new_overtakes_what_was_popular(make_log: Callable[..., Interactions]) -> None:
    old = [(user, 0, 1.0, 0) for user in range(10)]
    new = [(user, 1, 1.0, 86_400) for user in range(3)]
    log = make_log(old + new)

    assert fitted(log).popularity.argmax() == 0
    assert fitted(log, half_life="12h").popularity.argmax() == 1


@pytest.mark.parametrize("later", [10**6, -(10**6)])
def test_only_the_distance_of_times_matters(
    log: Interactions, make_log: Callable[..., Interactions], later: int
) -> None:
    events = zip(log.users, log.items, log.weights, log.times + later, strict=True)

    moved = fitted(make_log(list(events)), half_life=100)

    np.testing.assert_array_equal(moved.popularity, fitted(log, half_life=100).popularity)
