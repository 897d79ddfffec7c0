"""Explanations of every kind of template, from raw features to reasons."""

import functools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from retrieval_toys import HISTORY, ITEMS, inputs_of, make
from retrieval_toys import SHOPPERS as RETRIEVAL_SHOPPERS
from toy_ranker import ITEMS as RANKED_ITEMS
from toy_ranker import SHOPPERS as RANKING_SHOPPERS
from toy_ranker import make_batch, make_ranker

from tfrec.embeddings.features import Features
from tfrec.models import (
    BST,
    DIN,
    ESMM,
    HSTU,
    ItemToItem,
    MatrixFactorization,
    RankingTemplate,
    RetrievalTemplate,
    SASRec,
    SequenceTower,
    Sequential,
    TwoTower,
    Uplift,
    WideAndDeep,
)
from tfrec.models.explanations import (
    Parts,
    answer,
    explain_ranking,
    explain_retrieval,
    explain_sequential,
)

RAW = {
    "shopper": tf.constant(["3", "", "0"]),
    "recent": tf.constant([["2", "", "5", "2"], ["", "", "", ""], ["7", "", "", ""]]),
}
ASKED = tf.constant([["2", "9"], ["4", "4"], ["5", ""]])
KNOWN = ASKED != ""
UNKNOWN_ROW = {"shopper": RETRIEVAL_SHOPPERS, "sku": ITEMS, "aisle": 3, "channel": 2}


def rows_of(strings: tf.Tensor, unknown: int) -> tf.Tensor:
    numbers = tf.strings.to_number(tf.where(strings == "", "0", strings), tf.int64)
    return tf.where(strings == "", tf.constant(unknown, tf.int64), numbers)


def transform(raw: dict[str, tf.Tensor], unknown: dict[str, int] | None = None) -> Features:
    """A transform whose vocabularies are numbers."""
    unknown = {**UNKNOWN_ROW, **(unknown or {})}
    made: dict[str, Any] = {}
    for name, column in raw.items():
        if column.dtype != tf.string:
            made[name] = tf.where(tf.math.is_nan(column), 0.0, column)
        elif column.shape.rank == 1:
            made[name] = rows_of(column, unknown[name])
        else:
            there = column != ""
            owners = tf.where(there)[:, 0]
            values = tf.strings.to_number(tf.boolean_mask(column, there), tf.int64)
            made[name] = tf.RaggedTensor.from_value_rowids(
                values, owners, tf.shape(column, tf.int64)[0]
            )
    return made


def item_vectors(model: RetrievalTemplate) -> tf.Tensor:
    rows = tf.reshape(rows_of(ASKED, 0), [-1])
    return tf.reshape(model.embed_item({"sku": rows}), [3, 2, model.embedding_dim])


def explained(model: RetrievalTemplate) -> dict[str, np.ndarray]:
    vectors = item_vectors(model)
    if isinstance(model, Sequential):
        parts = explain_sequential(model, transform, RAW, vectors)
    else:
        parts = explain_retrieval(model, transform, "sku", RAW, vectors)
    return {name: values.numpy() for name, values in answer(parts, ASKED, KNOWN).items()}


def with_large_values(model: Any) -> Any:
    """Makes the rows of tables as long as training does, so that no network is nearly linear."""
    for table in model.embedding.group_tables.values():
        for shard in table.shards:
            shard.assign(20 * shard)
    return model


@functools.cache
def made(template: type[RetrievalTemplate], **settings: Any) -> RetrievalTemplate:
    return with_large_values(make(template, inputs_of(HISTORY), **settings))


def strings(values: np.ndarray) -> list:
    return values.astype(str).tolist()


TEMPLATES: list[tuple[type[RetrievalTemplate], dict[str, Any]]] = [
    (TwoTower, {}),
    (SequenceTower, {"hidden": (16,)}),
    (MatrixFactorization, {"item_bias": True}),
    (SASRec, {}),
]


@pytest.mark.parametrize(("template", "settings"), TEMPLATES)
def test_parts_add_up_from_what_nobody_gets_to_the_score(
    template: type[RetrievalTemplate], settings: dict[str, Any]
) -> None:
    model = made(template, **settings)

    found = explained(model)

    nobody = {"shopper": tf.constant([""]), "recent": tf.constant([[""]])}
    queries = tf.concat([model.embed_query(transform(raw)) for raw in (RAW, nobody)], 0)
    vectors = item_vectors(model)
    known = KNOWN.numpy()
    scores = tf.linalg.matvec(vectors, queries[:3]).numpy()
    baselines = tf.linalg.matvec(vectors, queries[3:]).numpy()
    np.testing.assert_allclose(found["scores"][known], scores[known], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        found["baseline_scores"][known], baselines[known], rtol=1e-4, atol=1e-5
    )
    sums = found["feature_contributions"].sum(-1) + found["remainder"]
    np.testing.assert_allclose(sums[known], (scores - baselines)[known], rtol=1e-3, atol=1e-4)
    way = np.abs(scores - baselines)[known]
    assert (np.abs(found["remainder"][known]) <= 0.05 * way.max()).all()


@pytest.mark.parametrize("template", [TwoTower, SequenceTower])
def test_parts_of_a_history_add_up_to_its_feature(template: type[RetrievalTemplate]) -> None:
    found = explained(made(template))

    (place,) = (n for n, name in enumerate(strings(found["features"])[0]) if name == "recent")
    of_history = found["history_contributions"]
    assert of_history.shape == (3, 2, 4)
    np.testing.assert_allclose(
        of_history.sum(-1), found["feature_contributions"][..., place], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(of_history[0, :, 1], 0)  # the gap
    np.testing.assert_array_equal(of_history[1], 0)
    assert set(strings(found["history_method"])) == {"integrated_gradients"}


def test_history_of_a_sum_is_explained_exactly() -> None:
    model = made(MatrixFactorization)

    found = explained(model)

    table = model.embed_item({"sku": tf.range(ITEMS, dtype=tf.int64)}).numpy()
    expected = np.zeros([3, 2, 4])
    for query, history in enumerate(strings(RAW["recent"].numpy())):
        chosen = [int(item) for item in history if item]
        for place, item in enumerate(history):
            for n, asked in enumerate(strings(ASKED.numpy())[query]):
                if item and asked:
                    expected[query, n, place] = table[int(item)] @ table[int(asked)] / len(chosen)
    known = KNOWN.numpy()
    np.testing.assert_allclose(
        found["history_contributions"][known], expected[known], rtol=1e-4, atol=1e-6
    )
    assert set(strings(found["history_method"])) == {"exact"}


def test_subclass_that_makes_its_own_vectors_is_not_taken_for_a_sum() -> None:
    class Bent(MatrixFactorization):
        def query_vectors(
            self, embedded: dict[str, tf.Tensor], training: bool = False
        ) -> tf.Tensor:
            return tf.tanh(3 * super().query_vectors(embedded, training))

    found = explained(made(Bent))

    assert set(strings(found["history_method"])) == {"integrated_gradients"}
    assert np.nanmax(np.abs(found["remainder"])) < 1e-3


@pytest.mark.parametrize("template", [SASRec, HSTU])
def test_place_of_an_ordered_history_adds_what_the_score_loses_without_it(
    template: type[RetrievalTemplate],
) -> None:
    model = made(template)

    found = explained(model)

    vectors = item_vectors(model).numpy()
    for query, history in enumerate(strings(RAW["recent"].numpy())):
        for place in range(4):
            less = [item if n != place else "" for n, item in enumerate(history)]
            raw = {**RAW, "recent": tf.constant([less])}
            (without,) = model.embed_query(transform(raw)).numpy()
            lost = found["scores"][query] - vectors[query] @ without
            np.testing.assert_allclose(
                found["history_contributions"][query, :, place], lost, rtol=1e-3, atol=1e-5
            )
    assert set(strings(found["history_method"])) == {"leave_one_out"}
    assert strings(found["features"]) == [["recent"]] * 3


def test_unknown_items_have_no_reason_and_no_numbers() -> None:
    found = explained(made(TwoTower))

    assert strings(found["reasons"])[2][1] == ""
    assert "" not in strings(found["reasons"])[0]
    numbers = ("scores", "baseline_scores", "remainder")
    for name in (*numbers, "feature_contributions", "history_contributions"):
        assert np.isnan(found[name][2, 1]).all(), name
        assert np.isfinite(found[name][:2]).all(), name


@pytest.mark.parametrize("width", [0, 1])
@pytest.mark.parametrize("template", [TwoTower, SASRec])
def test_nothing_asked_and_no_history_at_all_are_answered(
    template: type[RetrievalTemplate], width: int
) -> None:
    model = made(template)
    raw = {"shopper": tf.constant(["1", "2"]), "recent": tf.fill([2, width], "")}
    for n in (0, 2):
        items, vectors = tf.fill([2, n], "3"), tf.ones([2, n, model.embedding_dim])

        if template is SASRec:
            parts = explain_sequential(model, transform, raw, vectors)
        else:
            parts = explain_retrieval(model, transform, "sku", raw, vectors)
        found = answer(parts, items, items != "")

        assert found["history_contributions"].shape == (2, n, width)
        assert found["reasons"].shape == (2, n)
        if template is SASRec:
            assert set(strings(found["reasons"].numpy().reshape(-1))) <= {"popular"}


def test_model_of_items_has_no_history() -> None:
    model = made(ItemToItem)
    raw = {"sku": tf.constant(["3", "1", "0"])}

    parts = explain_retrieval(model, transform, "sku", raw, item_vectors(model))
    found = {name: values.numpy() for name, values in answer(parts, ASKED, KNOWN).items()}

    assert found["history"].shape == (3, 0)
    assert found["history_contributions"].shape == (3, 2, 0)
    assert set(strings(found["history_method"])) == {"none"}
    assert {"because_of:sku", "popular", ""} >= set(strings(found["reasons"].reshape(-1)))


RANKERS: list[tuple[type[RankingTemplate], dict[str, Any]]] = [
    (DIN, {"attention": (8,)}),
    (BST, {}),
    (WideAndDeep, {"crosses": [("shopper", "sku")], "cross_rows": 100}),
    (ESMM, {}),
    (Uplift, {"treatment": "offered"}),
]


@pytest.mark.parametrize(("template", "settings"), RANKERS)
def test_rankers_are_explained_by_what_is_known_of_the_query(
    template: type[RankingTemplate], settings: dict[str, Any]
) -> None:
    model = with_large_values(make_ranker(template, **settings))
    unknown = {"shopper": RANKING_SHOPPERS, "sku": RANKED_ITEMS}
    raw = {**RAW, "channel": tf.constant(["0", "1", ""])}
    batch = make_batch(2 * RANKED_ITEMS)
    by_row = {name: batch[name][:RANKED_ITEMS] for name in ("aisle", "price", "image")}

    def items(rows: tf.Tensor) -> Features:
        return {"sku": rows, **{name: tf.gather(values, rows) for name, values in by_row.items()}}

    rows = rows_of(ASKED, 0)
    parts = explain_ranking(
        model,
        lambda raw: transform(raw, unknown),
        "sku",
        raw,
        items(tf.reshape(rows, [-1])),
        tf.constant(2),
        lambda predictions: next(iter(predictions.values())),
    )
    found = answer(parts, ASKED, tf.fill(tf.shape(ASKED), True))

    query = transform(raw, unknown)
    for n in range(2):
        features = {**query, **items(rows[:, n])}
        expected = next(iter(model.rank(features).values()))
        np.testing.assert_allclose(found["scores"][:, n], expected, rtol=1e-4, atol=1e-6)
    names = strings(found["features"].numpy())[0]
    assert names[:3] == ["shopper", "recent", "channel"]
    assert names[3:] == (["crosses"] if template is WideAndDeep else [])
    sums = tf.reduce_sum(found["feature_contributions"], -1) + found["remainder"]
    np.testing.assert_allclose(
        sums, found["scores"] - found["baseline_scores"], rtol=1e-4, atol=1e-5
    )
    assert np.abs(found["remainder"]).max() < 0.05
    np.testing.assert_allclose(
        tf.reduce_sum(found["history_contributions"], -1),
        found["feature_contributions"][..., 1],
        atol=1e-5,
    )


def reasons(**changes: Any) -> list[str]:
    """Reasons for items `a`, `b` and `c`, each of which has `weekday` add most by default."""
    of_features = [[1.0, 2.0]] * 3
    given = {
        "scores": [[5.0, 5.0, 5.0]],
        "baselines": [[1.0, 1.0, 1.0]],
        "features": ["recent", "weekday"],
        "of_features": [of_features],
        "history_feature": "recent",
        "history": [["a", "b", "a", ""]],
        "of_history": [[[0.3, 0.5, 0.4, 0.0]] * 3],
        "method": "exact",
    }
    made = {**given, **changes}
    tensors = {
        name: tf.constant(made[name])
        for name in ("scores", "baselines", "of_features", "history", "of_history")
    }
    items = tf.constant([["a", "b", "c"]])
    found = answer(Parts(**{**made, **tensors}), items, tf.fill([1, 3], True))
    return strings(found["reasons"].numpy())[0]


def test_reason_is_the_feature_that_adds_most() -> None:
    assert reasons() == ["because_of:weekday"] * 3


def test_history_names_its_item_that_adds_most_in_all_its_places() -> None:
    most = {"of_features": [[[3.0, 2.0]] * 3]}

    assert reasons(**most) == ["buy_again", "because_you_bought:a", "because_you_bought:a"]
    empty = {"history": [[""] * 4], "of_history": [[[0.0] * 4] * 3]}
    assert reasons(**most, **empty) == ["because_of:recent"] * 3


def test_what_is_no_better_than_for_nobody_is_popular() -> None:
    assert reasons(scores=[[5.0, 1.0, 0.5]]) == ["because_of:weekday", "popular", "popular"]
    assert reasons(of_features=[[[-1.0, 0.0]] * 3]) == ["popular"] * 3


def test_item_that_is_never_recommended_has_no_reason() -> None:
    assert reasons(scores=[[5.0, -np.inf, 5.0]])[1] == ""
