from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tf_keras

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.input_pipeline import read_serialized
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.embeddings.groups import group_tables
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.parsing import LABEL, WEIGHT
from tfrec.features.plan import embedding_plan
from tfrec.models import ModelInputs, RankingTemplate
from tfrec.models.catalogue_features import CatalogueFeatures
from tfrec.models.signatures import save_ranking_model
from tfrec.training.config import Optimizers

QUERY = {
    "shopper": ["user-3", "nobody"],
    "recent": [["sku-000", "sku-004"], ["", ""]],
    "channel": ["app", ""],
    "weekday": ["Monday", "Sunday"],
}


class Joined(tf_keras.layers.Layer):
    """All features side by side, through one hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self._hidden = tf_keras.layers.Dense(8, activation="relu")

    def call(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        return self._hidden(tf.concat(list(embedded.values()), -1))


class Plain(RankingTemplate):
    def interaction(self) -> tf_keras.layers.Layer:
        return Joined()


Make = Callable[..., Plain]


@pytest.fixture(scope="module")
def make_model(prepared: PreparedData, spec: FeatureSpec) -> Make:
    def make(extra: dict[str, object] | None = None, **settings: object) -> Plain:
        tf_keras.utils.set_random_seed(0)
        transform = tft.TFTransformOutput(str(prepared.transform))
        tables = embedding_plan(spec, transform)
        share = np.full(120, 1 / 120, np.float32)
        features = {**{n: f.model_dump() for n, f in spec.root.items()}, **(extra or {})}
        inputs = ModelInputs(
            validate(FeatureSpec, features),
            tables,
            group_tables(tables, Optimizers().of_table),
            share,
        )
        model = Plain(inputs, Plain.Settings(**settings))
        model.make_variables()
        return model

    return make


@pytest.fixture(scope="module")
def model(make_model: Make) -> Plain:
    return make_model()


@pytest.fixture(scope="module")
def saved(
    model: Plain,
    prepared: PreparedData,
    spec: FeatureSpec,
    tmp_path_factory: pytest.TempPathFactory,
) -> tf.Module:
    path: Path = tmp_path_factory.mktemp("saved") / "model"
    catalogue = CatalogueFeatures(spec, model.item_features, prepared)
    transform = tft.TFTransformOutput(str(prepared.transform))
    save_ranking_model(model, transform, catalogue, path)
    return tf.saved_model.load(str(path))


def query() -> dict[str, tf.Tensor]:
    return {name: tf.constant(values) for name, values in QUERY.items()}


def test_loss_is_the_weighted_cross_entropy_of_the_label(model: Plain) -> None:
    batch = examples(3)
    batch |= {LABEL: tf.constant([1, 0, 1], tf.int64), WEIGHT: tf.constant([1.0, 2.0, 0.0])}

    loss = model.compute_loss(batch).numpy()

    taken = model.rank(batch)["taken"].numpy()
    assert loss == pytest.approx((-np.log(taken[0]) - 2 * np.log(1 - taken[1])) / 3, rel=1e-5)


def test_a_feature_of_role_label_is_predicted_by_squared_error(make_model: Make) -> None:
    model = make_model({"stars": {"role": "label", "kind": "numeric"}}, label="stars")
    batch = examples(2)
    batch |= {"stars": tf.constant([5.0, 1.0]), WEIGHT: tf.constant([1.0, 3.0])}

    loss = model.compute_loss(batch).numpy()

    stars = model.rank(batch)["stars"].numpy()
    assert loss == pytest.approx(((stars[0] - 5) ** 2 + 3 * (stars[1] - 1) ** 2) / 4, rel=1e-5)
    assert Plain.labels(model.settings) == ()
    assert Plain.labels(Plain.Settings()) == (LABEL,)


def test_what_is_no_label_is_refused_by_its_name(make_model: Make) -> None:
    with pytest.raises(
        UserError, match=r"^model.label: 'aisle' is no feature of role label; .*none"
    ):
        make_model(label="aisle")


def test_items_are_ranked_by_their_ids_as_the_model_ranks_their_features(
    saved: tf.Module, model: Plain, prepared: PreparedData
) -> None:
    ids = Catalogue(prepared.catalogue).ids

    ranked = saved.signatures["rank"](
        **query(), items=tf.constant([["sku-005", "none-such"], ["sku-119", "sku-005"]])
    )["taken"].numpy()
    every = saved.signatures["score_catalogue"](**query())["scores"].numpy()

    row = {name: place for place, name in enumerate(ids)}
    assert every.shape == (2, 120)
    assert ranked[0, 0] == pytest.approx(every[0, row["sku-005"]], rel=1e-5)
    assert np.isnan(ranked[0, 1])
    assert ranked[1] == pytest.approx(every[1, [row["sku-119"], row["sku-005"]]], rel=1e-5)
    assert len(set(np.round(every[0], 6))) > 60


def test_items_are_ranked_by_their_raw_features_as_by_their_ids(
    saved: tf.Module, prepared: PreparedData
) -> None:
    catalogue = Catalogue(prepared.catalogue).table
    some = catalogue.take([3, 90, 7])
    places = tf.constant([[2, 0], [1, 1]])

    ranked = saved.signatures["rank_features"](
        **query(),
        sku=tf.constant(some["_id"].to_pylist()),
        aisle=tf.constant(some["aisle"].to_pylist()),
        places=places,
    )["taken"]

    ids = tf.gather(tf.constant(some["_id"].to_pylist()), places)
    expected = saved.signatures["rank"](**query(), items=ids)["taken"]
    assert ranked.shape == (2, 2)
    np.testing.assert_allclose(ranked, expected, rtol=1e-5)


def test_prepared_examples_are_ranked_as_raw_features_are(
    saved: tf.Module, model: Plain, prepared: PreparedData, spec: FeatureSpec
) -> None:
    from tfrec.features.parsing import parsing_spec

    serialized = next(iter(read_serialized(prepared.examples(TRAIN), 50)))
    parsing = parsing_spec(spec, [*model.query_features, *model.item_features])

    ranked = saved.signatures["rank_examples"](examples=serialized)["taken"]

    expected = model.rank(tf.io.parse_example(serialized, parsing))["taken"]
    np.testing.assert_allclose(ranked, expected, rtol=1e-5)


def examples(count: int) -> dict[str, tf.Tensor | tf.RaggedTensor]:
    """Transformed features of some examples."""
    rows = tf.range(count, dtype=tf.int64)
    empty = tf.RaggedTensor.from_row_lengths(tf.zeros([0], tf.int64), [0] * count)
    names = ("shopper", "channel", "weekday", "sku", "aisle")
    return {**dict.fromkeys(names, rows % 3), "recent": empty}
