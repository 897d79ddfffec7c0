import numpy as np
import pytest
import tensorflow as tf

from tfrec.config import validate
from tfrec.embeddings.features import FeatureEmbedding, embedding_tables
from tfrec.embeddings.table import EmbeddingTable
from tfrec.features import FeatureSpec

BATCH = 4000
ROWS = {"shopper": 50, "sku": 80, "channel": 3}
SPEC = validate(
    FeatureSpec,
    {
        "shopper": {"role": "user", "kind": "categorical", "embedding": 2, "unknown_share": 0.3},
        "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 3},
        "sku": {"role": "item", "kind": "categorical", "embedding": 4, "unknown_share": 0.3},
        "channel": {"role": "context", "kind": "categorical", "embedding": 1, "unknown_share": 0},
    },
)


@pytest.fixture
def tables() -> dict[str, EmbeddingTable]:
    return embedding_tables(SPEC, ROWS)


@pytest.fixture
def batch() -> dict[str, tf.Tensor | tf.RaggedTensor]:
    """Rows of the vocabularies; none is the out-of-vocabulary row."""
    tf.random.set_seed(0)
    random = np.random.default_rng(0)
    ids = {name: random.integers(rows - 1, size=BATCH) for name, rows in ROWS.items()}
    ids["shopper"][:] = 7
    recent = tf.RaggedTensor.from_uniform_row_length(random.integers(79, size=BATCH * 2), 2)
    return {**{name: tf.constant(values) for name, values in ids.items()}, "recent": recent}


def value_of(table: EmbeddingTable, ids: tf.Tensor | list[int]) -> np.ndarray:
    return table(tf.constant(ids, tf.int64)).numpy()


def test_each_category_has_a_table_and_sequences_share_one(
    tables: dict[str, EmbeddingTable],
) -> None:
    assert {name: (table.rows, table.dim) for name, table in tables.items()} == {
        "shopper": (50, 2),
        "sku": (80, 4),
        "channel": (3, 1),
    }


def test_features_stand_side_by_side_in_the_order_of_their_names(
    tables: dict[str, EmbeddingTable], batch: dict[str, tf.Tensor]
) -> None:
    embedded = FeatureEmbedding(SPEC, ["channel", "recent", "sku"], tables)(batch).numpy()

    assert embedded.shape == (BATCH, 1 + 4 + 4)
    np.testing.assert_array_equal(embedded[:, :1], value_of(tables["channel"], batch["channel"]))
    np.testing.assert_array_equal(embedded[:, 5:], value_of(tables["sku"], batch["sku"]))
    first = value_of(tables["sku"], batch["recent"][0]).mean(axis=0)
    np.testing.assert_allclose(embedded[0, 1:5], first, rtol=1e-5)


def test_about_the_unknown_share_of_values_is_hidden_in_training(
    tables: dict[str, EmbeddingTable], batch: dict[str, tf.Tensor]
) -> None:
    embedding = FeatureEmbedding(SPEC, ["shopper"], tables)

    embedded = embedding(batch, training=True).numpy()

    own, unknown = value_of(tables["shopper"], [7, 49])
    hidden = (embedded == unknown).all(axis=1)
    assert hidden.mean() == pytest.approx(0.3, abs=0.03)
    assert (embedded[~hidden] == own).all()


def test_features_are_hidden_independently(
    tables: dict[str, EmbeddingTable], batch: dict[str, tf.Tensor]
) -> None:
    embedded = FeatureEmbedding(SPEC, ["shopper", "sku"], tables)(batch, training=True).numpy()

    shopper = (embedded[:, :2] == value_of(tables["shopper"], [49])).all(axis=1)
    sku = (embedded[:, 2:] == value_of(tables["sku"], [79])).all(axis=1)
    assert (shopper & sku).mean() == pytest.approx(0.09, abs=0.03)


def test_nothing_is_hidden_outside_training(
    tables: dict[str, EmbeddingTable], batch: dict[str, tf.Tensor]
) -> None:
    embedded = FeatureEmbedding(SPEC, ["shopper"], tables)(batch).numpy()

    assert (embedded == value_of(tables["shopper"], [7])).all()


@pytest.mark.parametrize("name", ["channel", "recent"])
def test_sequences_and_features_without_an_unknown_share_are_never_hidden(
    tables: dict[str, EmbeddingTable], batch: dict[str, tf.Tensor], name: str
) -> None:
    embedding = FeatureEmbedding(SPEC, [name], tables)

    np.testing.assert_array_equal(embedding(batch, training=True), embedding(batch))
