from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfrec.config import validate
from tfrec.embeddings.features import FeatureEmbedding, Features
from tfrec.embeddings.fetching import recorded
from tfrec.embeddings.groups import group_tables
from tfrec.embeddings.optimizers.config import (
    OptimizerSettings,
    RowwiseAdagradSettings,
    SgdSettings,
)
from tfrec.features import FeatureSpec
from tfrec.features.plan import Table

BATCH = 4000
CATEGORY: dict[str, Any] = {"kind": "categorical", "embedding": 2, "unknown_share": 0.3}
NUMBER: dict[str, Any] = {"role": "context", "kind": "numeric"}
SPEC = validate(
    FeatureSpec,
    {
        "shopper": {"role": "user", **CATEGORY, "unknown_rows": 3},
        "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 3},
        "recent_sum": {
            "role": "user",
            "kind": "sequence",
            "of": "sku",
            "last": 3,
            "pooling": "sum",
        },
        "sku": {"role": "item", **CATEGORY, "embedding": 4},
        "channel": {"role": "context", **CATEGORY, "embedding": 1, "unknown_share": 0},
        "tags": {"role": "item", "kind": "multi_categorical", "embedding": 3},
        "title": {"role": "item", "kind": "text", "embedding": 5, "rows": 20},
        "age": {**NUMBER, "transform": "bucketise", "buckets": 4, "embedding": 2},
        "price": NUMBER,
        "image": {"role": "item", "kind": "vector", "dim": 3},
    },
)
PLAN = {
    "shopper": Table(50, 2, unknown_rows=3),
    "sku": Table(80, 4, unknown_rows=1),
    "channel": Table(3, 1, unknown_rows=1),
    "tags": Table(10, 3, unknown_rows=1),
    "title": Table(20, 5),
    "age": Table(5, 2, unknown_rows=1),
}


def optimizer_of(table: str) -> OptimizerSettings:
    return SgdSettings(kind="sgd") if table == "tags" else RowwiseAdagradSettings()


@pytest.fixture
def embedding() -> FeatureEmbedding:
    return FeatureEmbedding(SPEC, PLAN, group_tables(PLAN, optimizer_of))


@pytest.fixture
def batch() -> dict[str, tf.Tensor | tf.RaggedTensor]:
    """What the transform makes of rows in which no value is unknown."""
    random = np.random.default_rng(0)
    known = {name: table.rows - table.unknown_rows for name, table in PLAN.items()}
    known["recent"] = known["recent_sum"] = known["sku"]
    dense = {name: random.integers(known[name], size=BATCH) for name in ("sku", "channel", "age")}
    dense["shopper"] = np.full(BATCH, 7)
    lists = {
        name: tf.RaggedTensor.from_row_lengths(
            tf.constant(random.integers(known[name], size=2 * BATCH)), [0, 4] * (BATCH // 2)
        )
        for name in ("recent", "recent_sum", "tags", "title")
    }
    return {
        **{name: tf.constant(values) for name, values in dense.items()},
        **lists,
        "price": tf.constant(random.normal(size=BATCH), tf.float32),
        "image": tf.constant(random.normal(size=[BATCH, 3]), tf.float32),
    }


def only(batch: Features, *names: str) -> Features:
    return {name: batch[name] for name in names}


def rows_of(embedding: FeatureEmbedding, table: str) -> np.ndarray:
    """All rows of a table, in its own order: `[rows, dim]`."""
    (group,) = (group for group in embedding.groups if table in group.offsets)
    layer = embedding.group_tables[group.name]
    if not layer.built:
        layer.build(None)
    (values,) = layer.get_weights()
    return values[group.place(table, np.arange(PLAN[table].rows))]


def test_each_feature_has_its_own_floats(embedding: FeatureEmbedding, batch: Features) -> None:
    embedded = embedding(batch)

    shapes = {name: tuple(values.shape) for name, values in embedded.items()}
    widths = {"shopper": 2, "recent": 4, "recent_sum": 4, "sku": 4, "channel": 1, "tags": 3}
    widths |= {"title": 5, "age": 2, "price": 1, "image": 3}
    assert shapes == {name: (BATCH, width) for name, width in widths.items()}


def test_all_tables_of_a_group_are_one_variable(embedding: FeatureEmbedding) -> None:
    for layer in embedding.group_tables.values():
        layer.build(None)

    shapes = {tuple(weight.shape) for weight in embedding.trainable_weights}
    assert shapes == {(50 + 5, 2), (80, 4), (3, 1), (10, 3), (20, 5)}


def test_a_group_is_asked_once_for_every_row_it_needs(
    embedding: FeatureEmbedding, batch: Features
) -> None:
    with recorded() as fetches:
        embedding(only(batch, "sku", "recent", "recent_sum", "shopper", "age"))

    assert len(fetches) == 2
    for fetch in fetches:
        assert len(np.unique(fetch.rows)) == len(fetch.rows)
    assert sorted(len(fetch.rows) for fetch in fetches) == [1 + 4, 79]


@pytest.mark.parametrize("name", ["shopper", "sku", "age"])
def test_category_or_bucket_is_a_row_of_its_own_table(
    embedding: FeatureEmbedding, batch: Features, name: str
) -> None:
    embedded = embedding(only(batch, name))[name]

    np.testing.assert_array_equal(embedded, rows_of(embedding, name)[batch[name].numpy()])


@pytest.mark.parametrize(("name", "of"), [("recent", "sku"), ("tags", "tags"), ("title", "title")])
def test_list_is_the_mean_of_rows_of_its_table_and_an_empty_one_zeros(
    embedding: FeatureEmbedding, batch: Features, name: str, of: str
) -> None:
    embedded = embedding(only(batch, name))[name].numpy()

    values = rows_of(embedding, of)
    for place in range(1, 20, 2):
        expected = values[batch[name][place].numpy()].mean(axis=0)
        np.testing.assert_allclose(embedded[place], expected, rtol=1e-5, atol=1e-8)
    assert (embedded[::2] == 0).all()


def test_a_list_is_pooled_as_its_feature_says(embedding: FeatureEmbedding, batch: Features) -> None:
    embedded = embedding(only(batch, "recent_sum"))["recent_sum"].numpy()

    expected = rows_of(embedding, "sku")[batch["recent_sum"][1].numpy()].sum(axis=0)
    np.testing.assert_allclose(embedded[1], expected, rtol=1e-5)


def test_a_template_may_pool_lists_in_its_own_way(batch: Features) -> None:
    def first_and_last(values: tf.RaggedTensor) -> tf.Tensor:
        filled = values.to_tensor()
        return tf.concat([filled[:, 0], filled[:, -1]], -1)

    embedding = FeatureEmbedding(
        SPEC, PLAN, group_tables(PLAN, optimizer_of), {"tags": first_and_last}
    )

    embedded = embedding(only(batch, "tags"))["tags"].numpy()

    values = rows_of(embedding, "tags")
    tags = batch["tags"][1].numpy()
    np.testing.assert_array_equal(embedded[1], [*values[tags[0]], *values[tags[-1]]])


def test_number_is_one_column_and_a_vector_is_itself(
    embedding: FeatureEmbedding, batch: Features
) -> None:
    embedded = embedding(only(batch, "image", "price"))

    np.testing.assert_array_equal(embedded["image"], batch["image"])
    np.testing.assert_array_equal(embedded["price"][:, 0], batch["price"])


def test_features_need_not_have_as_many_rows_as_each_other(
    embedding: FeatureEmbedding, batch: Features
) -> None:
    mixed = {"sku": batch["sku"][:5], "recent": batch["recent"][:9], "price": batch["price"]}

    embedded = embedding(mixed)

    assert [len(values) for values in embedded.values()] == [BATCH, 5, 9]
    np.testing.assert_array_equal(embedded["sku"], embedding(only(batch, "sku"))["sku"][:5])


def test_only_empty_lists_give_zeros(embedding: FeatureEmbedding) -> None:
    empty = tf.RaggedTensor.from_row_lengths(tf.zeros([0], tf.int64), [0, 0])

    np.testing.assert_array_equal(embedding({"tags": empty})["tags"], np.zeros([2, 3]))


def test_about_the_unknown_share_of_values_is_hidden_in_training_evenly_among_unknown_rows(
    embedding: FeatureEmbedding, batch: Features
) -> None:
    embedded = embedding(only(batch, "shopper"), training=True)["shopper"].numpy()

    own, *unknown = rows_of(embedding, "shopper")[[7, 47, 48, 49]]
    shares = [(embedded == row).all(axis=1).mean() for row in unknown]
    assert shares == pytest.approx([0.1] * 3, abs=0.02)
    assert (embedded == own).all(axis=1).mean() == pytest.approx(1 - sum(shares))


def test_only_unknown_row_takes_all_that_is_hidden(
    embedding: FeatureEmbedding, batch: Features
) -> None:
    embedded = embedding(only(batch, "sku"), training=True)["sku"].numpy()

    values = rows_of(embedding, "sku")
    hidden = (embedded == values[79]).all(axis=1)
    assert hidden.mean() == pytest.approx(0.3, abs=0.03)
    np.testing.assert_array_equal(embedded[~hidden], values[batch["sku"].numpy()[~hidden]])


def test_features_are_hidden_independently(embedding: FeatureEmbedding, batch: Features) -> None:
    embedded = embedding(only(batch, "shopper", "sku"), training=True)

    shopper = (embedded["shopper"].numpy() != rows_of(embedding, "shopper")[7]).any(axis=1)
    sku = (embedded["sku"].numpy() == rows_of(embedding, "sku")[79]).all(axis=1)
    assert (shopper & sku).mean() == pytest.approx(0.09, abs=0.03)


def test_the_same_batch_hides_the_same_values_and_another_one_others(
    embedding: FeatureEmbedding, batch: Features
) -> None:
    other = {"sku": tf.reverse(batch["sku"], [0])}

    once, again = (embedding(only(batch, "sku"), training=True)["sku"] for _ in range(2))
    others = embedding(other, training=True)["sku"]

    np.testing.assert_array_equal(once, again)
    unknown = rows_of(embedding, "sku")[79]
    hidden = [(values.numpy() == unknown).all(axis=1) for values in (once, others)]
    assert (hidden[0] & hidden[1][::-1]).mean() == pytest.approx(0.09, abs=0.03)


def test_nothing_is_hidden_outside_training(embedding: FeatureEmbedding, batch: Features) -> None:
    embedded = embedding(only(batch, "shopper"))["shopper"].numpy()

    assert (embedded == rows_of(embedding, "shopper")[7]).all()


@pytest.mark.parametrize("name", ["channel", "recent", "tags", "title", "age", "price", "image"])
def test_only_categories_with_an_unknown_share_are_ever_hidden(
    embedding: FeatureEmbedding, batch: Features, name: str
) -> None:
    column = only(batch, name)

    np.testing.assert_array_equal(embedding(column, training=True)[name], embedding(column)[name])
