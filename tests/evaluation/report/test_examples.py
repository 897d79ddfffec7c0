from collections.abc import Callable

import numpy as np

from tfrec.data.catalogue import Catalogue
from tfrec.data.query_set import QuerySet
from tfrec.evaluation.lists import Lists
from tfrec.evaluation.report.examples import Recommended, draw_examples


def test_example_tells_history_list_and_what_was_to_be_found_by_name(
    make_queries: Callable[..., QuerySet], catalogue: Catalogue
) -> None:
    queries = make_queries([[4], [6, 7]], [[], [1, 2, 1, 3]])
    lists = Lists(
        np.array([[0, 1, 2], [6, 9, -1]], np.int32),
        np.array([[False, False, False], [True, False, False]]),
        (np.array([1, 1]), np.array([6, 7])),
    )

    (example,) = draw_examples(lists, queries, catalogue, seed=0)

    names = catalogue.names
    assert example.shopper == "user-1"  # the other one has nothing to find
    assert example.history == [names[3], names[1], names[2]]
    assert example.events_before == 4
    assert example.recommended == [Recommended(names[6], True), Recommended(names[9], False)]
    assert (example.relevant, example.relevant_items) == ([names[6], names[7]], 2)


def test_shoppers_are_drawn_by_the_seed(
    make_queries: Callable[..., QuerySet], catalogue: Catalogue
) -> None:
    users = 50
    queries = make_queries([[1]] * users, [[]] * users)
    wanted = np.arange(users), np.ones(users, np.int64)
    lists = Lists(np.ones([users, 1], np.int32), np.ones([users, 1], bool), wanted)

    def drawn(seed: int) -> list[str]:
        return [one.shopper for one in draw_examples(lists, queries, catalogue, seed)]

    assert len(set(drawn(0))) == 6
    assert drawn(0) == drawn(0) != drawn(1)
