from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf
from candidate_lists import ITEMS, Lists, random_lists

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.errors import UserError
from tfrec.retrieval.index import NO_ITEM
from tfrec.retrieval.reranking import (
    Reranker,
    Rules,
    boost,
    calibrate,
    cap,
    category_shares,
    mmr,
    pin,
)

BRANDS = ["Ours", "Theirs", None, "Others"]
AISLES = ["fruit", "bread", "milk", "tea", "soap"]
VECTORS = np.random.default_rng(5).normal(size=(ITEMS, 4)).astype(np.float32)
NOTHING = np.full((5, 1), NO_ITEM)

EVERYTHING: list[dict[str, Any]] = [
    {"kind": "boost", "feature": "brand", "amounts": {"Ours": 0.3, "Others": -0.2}},
    {"kind": "boost", "amounts": {"item 07": 1}},
    {"kind": "cap", "feature": "brand", "limit": 3},
    {"kind": "calibrate", "feature": "aisle", "history": "recent", "strength": 0.6},
]
PINNED = {"item 11": 2, "item 30": 1}
HISTORY = np.array([[0, 5, 1, NO_ITEM]] * 5)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    path = tmp_path_factory.mktemp("catalogue") / "catalogue.parquet"
    table = pa.table(
        {
            "_id": [f"item {row:02}" for row in range(ITEMS)],
            "_name": [f"Item {row}" for row in range(ITEMS)],
            "brand": [BRANDS[row % len(BRANDS)] for row in range(ITEMS)],
            "aisle": [AISLES[row % len(AISLES)] for row in range(ITEMS)],
            "tags": [["a", "b"]] * ITEMS,
        }
    )
    pa.parquet.write_table(table, path)
    return Catalogue(path)


def make(catalogue: Catalogue, *steps: dict[str, Any], **others: Any) -> Reranker:
    rules = validate(Rules, {"steps": list(steps), **others}, "reranking")
    return Reranker(rules, catalogue, VECTORS)


def codes(names: list[Any], rows: np.ndarray) -> np.ndarray:
    known = [name for name in names if name]
    numbers = np.array([known.index(name) if name else -1 for name in names])
    return np.where(rows < 0, -1, numbers[rows % len(names)])


def by_hand(lists: Lists, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Everything, by the functions of the steps."""
    rows, scores = lists
    brand = {0: 0.3, 3: -0.2}
    amounts = np.vectorize(lambda row: brand.get(row % len(BRANDS), 0.0))(rows).astype(np.float32)
    found, scores = boost(rows, scores, amounts, 12)
    found, scores = boost(found, scores, (found.numpy() == 7).astype(np.float32), 12)
    found, scores = cap(found, scores, codes(BRANDS, found.numpy()), 3, 12)
    aisles = codes(AISLES, found.numpy())
    target = category_shares(codes(AISLES, HISTORY), len(AISLES))
    found, scores = calibrate(found, scores, aisles, target, 0.6, k)
    return pin(found, scores, np.array([[11, 30]] * 5), np.array([[2, 1]] * 5, np.int32), k)


def same(one: tuple[tf.Tensor, tf.Tensor], other: tuple[tf.Tensor, tf.Tensor]) -> None:
    assert one[0].numpy().tolist() == other[0].numpy().tolist()
    np.testing.assert_allclose(one[1], other[1], rtol=1e-6)


@pytest.mark.parametrize("k", [1, 4, 15])
def test_steps_are_applied_in_their_order_and_pinned_items_put_in_last(
    catalogue: Catalogue, k: int
) -> None:
    reranker, lists = make(catalogue, *EVERYTHING, pinned=PINNED), random_lists()

    same(reranker(*lists, k, history=HISTORY), by_hand(lists, k))


def test_mmr_reads_the_models_vectors(catalogue: Catalogue) -> None:
    rows, scores = random_lists()

    found = make(catalogue, {"kind": "mmr", "trade_off": 0.4})(rows, scores, 6)

    same(found, mmr(rows, scores, VECTORS[rows], 0.4, 6))


def test_cap_behind_mmr_still_fills_the_list(catalogue: Catalogue) -> None:
    lists = random_lists()
    steps = {"kind": "mmr"}, {"kind": "cap", "feature": "aisle", "limit": 1}

    rows = make(catalogue, *steps)(*lists, 3)[0].numpy()[0]

    assert NO_ITEM not in rows
    assert len({row % len(AISLES) for row in rows}) == 3


def test_saved_model_answers_the_same_for_any_batch_and_k(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    module = tf.Module()
    module.reranker = make(catalogue, *EVERYTHING, pinned=PINNED)
    module.diverse = make(catalogue, {"kind": "mmr"})

    def rerank(
        rows: tf.Tensor, scores: tf.Tensor, k: tf.Tensor, history: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        return (
            *module.reranker(rows, scores, k, history=history),
            *module.diverse(rows, scores, k),
        )

    rows, numbers = tf.TensorSpec([None, None], tf.int64), tf.TensorSpec([None, None], tf.float32)
    module.rerank = tf.function(
        rerank, input_signature=[rows, numbers, tf.TensorSpec([], tf.int32), rows]
    )
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))

    lists = random_lists()
    for batch, k in ((5, 4), (1, 20), (0, 3)):
        some = lists[0][:batch], lists[1][:batch]
        found = loaded.rerank(*some, tf.constant(k), HISTORY[:batch])
        same(found[:2], module.reranker(*some, k, history=HISTORY[:batch]))
        same(found[2:], module.diverse(*some, k))


def test_lists_of_nothing_hold_what_is_pinned(catalogue: Catalogue) -> None:
    rows = np.full((2, 3), NO_ITEM)
    scores = np.full((2, 3), -np.inf, np.float32)

    found, _ = make(catalogue, *EVERYTHING, pinned=PINNED)(rows, scores, 4, history=HISTORY[:2])

    assert found.numpy().tolist() == [[30, 11, NO_ITEM, NO_ITEM]] * 2


def test_item_that_a_request_may_not_show_is_not_pinned(catalogue: Catalogue) -> None:
    rows, scores = random_lists()
    allowed = np.ones((5, ITEMS), bool)
    allowed[1:, 11] = False

    found, _ = make(catalogue, pinned={"item 11": 1, "item 30": 1})(
        rows, scores, 2, exclude=np.array([[30]] + [[NO_ITEM]] * 4), allowed=allowed
    )

    assert found.numpy()[0, 0] == 11
    assert (found.numpy()[1:, 0] == 30).all()
    assert 30 not in found.numpy()[0]
    assert 11 not in found.numpy()[1:]


def test_more_candidates_are_asked_for_than_are_shown_but_no_more_than_there_are(
    catalogue: Catalogue,
) -> None:
    reranker = make(catalogue, candidates=3)

    assert reranker.fetch(4) == 12
    assert reranker.fetch(tf.constant(30)) == ITEMS


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            {"kind": "cap", "feature": "colour", "limit": 1},
            "reranking.steps.0.feature: 'colour' is no feature of the catalogue; known: "
            "brand, aisle, tags",
        ),
        (
            {"kind": "calibrate", "feature": "tags", "history": "recent"},
            "reranking.steps.0.feature: tags holds lists; name a feature with one value",
        ),
        (
            {"kind": "boost", "feature": "brand", "amounts": {"Ours": 1, "Mine": 1}},
            "reranking.steps.0.amounts: 'Mine' is no value of brand; it has Ours, Theirs, Others",
        ),
        (
            {"kind": "boost", "amounts": {"item 99": 1}},
            "reranking.steps.0.amounts: 'item 99' is no item of the catalogue; leave it out",
        ),
    ],
)
def test_what_is_not_in_the_catalogue_is_refused(
    catalogue: Catalogue, step: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as error:
        make(catalogue, step)

    assert str(error.value) == message


def test_pinned_item_that_is_not_in_the_catalogue_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(UserError, match="pinned: 'plum' is no item of the catalogue; leave it out"):
        make(catalogue, pinned={"plum": 1})


def test_mmr_without_vectors_is_refused(catalogue: Catalogue) -> None:
    rules = validate(Rules, {"steps": [{"kind": "mmr"}]})

    with pytest.raises(UserError, match="mmr needs item vectors"):
        Reranker(rules, catalogue)
