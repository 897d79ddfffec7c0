import numpy as np
import pytest
from candidate_lists import LENGTHS, WIDTH, check, random_lists, written

from tfrec.retrieval.index import NO_ITEM
from tfrec.retrieval.reranking import cap

BRANDS = np.random.default_rng(3).integers(-1, 3, size=(len(LENGTHS), WIDTH)).astype(np.int32)


@pytest.mark.parametrize("k", [1, 4, WIDTH + 2])
@pytest.mark.parametrize("limit", [1, 2, WIDTH])
def test_first_items_of_each_brand_are_kept_in_their_order(limit: int, k: int) -> None:
    lists = random_lists()

    found = cap(*lists, BRANDS, limit, k)

    def plain(number: int, columns: list[int], scores: list[float]) -> list[int]:
        kept: list[int] = []
        for column in columns:
            brand = BRANDS[number, column]
            if brand < 0 or sum(BRANDS[number, one] == brand for one in kept) < limit:
                kept.append(column)
        return kept

    check(found, lists, k, plain)


def test_best_variant_of_each_product_is_kept_and_the_list_ends_early() -> None:
    lists = written([[9, 8, 7, 6, 5]], [[5, 4, 3, 2, 1]])

    rows, scores = cap(*lists, np.array([[4, 4, -1, 2, 4]]), 1, 4)

    assert rows.numpy().tolist() == [[9, 7, 6, NO_ITEM]]
    assert scores.numpy().tolist() == [[5, 3, 2, -np.inf]]


def test_places_without_an_item_count_for_no_brand() -> None:
    lists = written([[NO_ITEM, 3]], [[-np.inf, 1]])

    rows, _ = cap(*lists, np.array([[0, 0]]), 1, 2)

    assert rows.numpy().tolist() == [[3, NO_ITEM]]
