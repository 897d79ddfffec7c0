from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfrec.config import validate
from tfrec.embeddings.features import FeatureEmbedding, embedding_tables
from tfrec.embeddings.table import EmbeddingTable
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

Batch = dict[str, tf.Tensor | tf.RaggedTensor]


@pytest.fixture
def tables() -> dict[str, EmbeddingTable]:
    return embedding_tables(PLAN)


@pytest.fixture
def batch() -> Batch:
    """What the transform makes of rows in which no value is unknown."""
    tf.random.set_seed(0)
    random = np.random.default_rng(0)
    known = {name: table.rows - table.unknown_rows for name, table in PLAN.items()}
    known["recent"] = known["sku"]
    dense = {name: random.integers(known[name], size=BATCH) for name in ("sku", "channel", "age")}
    dense["shopper"] = np.full(BATCH, 7)
    lists = {
        name: tf.RaggedTensor.from_row_lengths(
            tf.constant(random.integers(known[name], size=2 * BATCH)), [0, 4] * (BATCH // 2)
        )
        for name in ("recent", "tags", "title")
    }
    return {
        **{name: tf.constant(values) for name, values in dense.items()},
        **lists,
        "price": tf.constant(random.normal(size=BATCH), tf.float32),
        "image": tf.constant(random.normal(size=[BATCH, 3]), tf.float32),
    }


def value_of(table: EmbeddingTable, ids: tf.Tensor | list[int]) -> np.ndarray:
    return table(tf.constant(ids, tf.int64)).numpy()


def test_tables_are_those_of_the_plan(tables: dict[str, EmbeddingTable]) -> None:
    assert {name: Table(t.rows, t.dim, t.unknown_rows) for name, t in tables.items()} == PLAN


def test_features_stand_side_by_side_in_the_order_of_their_names(
    tables: dict[str, EmbeddingTable], batch: Batch
) -> None:
    embedded = FeatureEmbedding(SPEC, ["channel", "price", "sku"], tables)(batch).numpy()

    assert embedded.shape == (BATCH, 1 + 1 + 4)
    np.testing.assert_array_equal(embedded[:, :1], value_of(tables["channel"], batch["channel"]))
    np.testing.assert_array_equal(embedded[:, 1], batch["price"])
    np.testing.assert_array_equal(embedded[:, 2:], value_of(tables["sku"], batch["sku"]))


@pytest.mark.parametrize("name", ["shopper", "sku", "age"])
def test_category_or_bucket_is_a_row_of_its_own_table(
    tables: dict[str, EmbeddingTable], batch: Batch, name: str
) -> None:
    embedded = FeatureEmbedding(SPEC, [name], tables)(batch).numpy()

    (values,) = tables[name].get_weights()
    np.testing.assert_array_equal(embedded, values[batch[name].numpy()])


@pytest.mark.parametrize(("name", "of"), [("recent", "sku"), ("tags", "tags"), ("title", "title")])
def test_list_is_the_mean_of_rows_of_its_table_and_an_empty_one_zeros(
    tables: dict[str, EmbeddingTable], batch: Batch, name: str, of: str
) -> None:
    embedded = FeatureEmbedding(SPEC, [name], tables)(batch).numpy()

    (values,) = tables[of].get_weights()
    for place in range(1, 20, 2):
        expected = values[batch[name][place].numpy()].mean(axis=0)
        np.testing.assert_allclose(embedded[place], expected, rtol=1e-5)
    assert (embedded[::2] == 0).all()


def test_number_is_one_column_and_a_vector_is_itself(
    tables: dict[str, EmbeddingTable], batch: Batch
) -> None:
    embedded = FeatureEmbedding(SPEC, ["image", "price"], tables)(batch).numpy()

    np.testing.assert_array_equal(embedded[:, :3], batch["image"])
    np.testing.assert_array_equal(embedded[:, 3], batch["price"])


def test_about_the_unknown_share_of_values_is_hidden_in_training_evenly_among_unknown_rows(
    tables: dict[str, EmbeddingTable], batch: Batch
) -> None:
    embedding = FeatureEmbedding(SPEC, ["shopper"], tables)

    embedded = embedding(batch, training=True).numpy()

    own, *unknown = value_of(tables["shopper"], [7, 47, 48, 49])
    shares = [(embedded == row).all(axis=1).mean() for row in unknown]
    assert shares == pytest.approx([0.1] * 3, abs=0.02)
    assert (embedded == own).all(axis=1).mean() == pytest.approx(1 - sum(shares))


def test_only_unknown_row_takes_all_that_is_hidden(
    tables: dict[str, EmbeddingTable], batch: Batch
) -> None:
    embedded = FeatureEmbedding(SPEC, ["sku"], tables)(batch, training=True).numpy()

    (unknown,) = value_of(tables["sku"], [79])
    hidden = (embedded == unknown).all(axis=1)
    assert hidden.mean() == pytest.approx(0.3, abs=0.03)
    kept = value_of(tables["sku"], batch["sku"])[~hidden]
    np.testing.assert_array_equal(embedded[~hidden], kept)


def test_features_are_hidden_independently(tables: dict[str, EmbeddingTable], batch: Batch) -> None:
    embedded = FeatureEmbedding(SPEC, ["shopper", "sku"], tables)(batch, training=True).numpy()

    shopper = (embedded[:, :2] != value_of(tables["shopper"], [7])).any(axis=1)
    sku = (embedded[:, 2:] == value_of(tables["sku"], [79])).all(axis=1)
    assert (shopper & sku).mean() == pytest.approx(0.09, abs=0.03)


def test_nothing_is_hidden_outside_training(
    tables: dict[str, EmbeddingTable], batch: Batch
) -> None:
    embedded = FeatureEmbedding(SPEC, ["shopper"], tables)(batch).numpy()

    assert (embedded == value_of(tables["shopper"], [7])).all()


@pytest.mark.parametrize("name", ["channel", "recent", "tags", "title", "age", "price", "image"])
def test_only_categories_with_an_unknown_share_are_ever_hidden(
    tables: dict[str, EmbeddingTable], batch: Batch, name: str
) -> None:
    embedding = FeatureEmbedding(SPEC, [name], tables)

    np.testing.assert_array_equal(embedding(batch, training=True), embedding(batch))
