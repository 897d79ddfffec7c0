"""Explanations of a served bundle, from raw features to what `tfrec query --explain` prints."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tf_keras
from click.testing import CliRunner

from tfrec.cli.main import cli
from tfrec.data.catalogue import Catalogue
from tfrec.data.input_pipeline import read_serialized
from tfrec.data.prepared import PreparedData
from tfrec.embeddings.groups import group_tables
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.plan import embedding_plan
from tfrec.layers import mlp
from tfrec.models import DNN, ModelInputs, TwoTower
from tfrec.models.catalogue_features import CatalogueFeatures
from tfrec.models.signatures import save_ranking_model, save_retrieval_model
from tfrec.retrieval.brute_force import BruteForce
from tfrec.retrieval.saving import save_index
from tfrec.serving import Client, ModelServer
from tfrec.serving.export import export_bundle
from tfrec.serving.live_items import LiveItems
from tfrec.serving.names import EXPLAIN, EXPLANATION
from tfrec.serving.ranker import Ranker
from tfrec.stages.artifact import Artifact, Manifest
from tfrec.stages.export import ServingBundle
from tfrec.stages.recommender import Recommender
from tfrec.training.config import Optimizers

DIM = 4
SHOPPER = {"shopper": "user-3", "channel": "app", "weekday": "Monday"}
RECENT = ["sku-004", "sku-011", "sku-004"]
ASKED = ["sku-000", "sku-004", "sku-002", "never heard of"]


class Deep(TwoTower):
    """Two towers, one of them with a hidden layer."""

    def query_tower(self) -> tf_keras.Model:
        return mlp([8], output_dim=self.embedding_dim)


def inputs_of(spec: FeatureSpec, transform: tft.TFTransformOutput) -> ModelInputs:
    tables = embedding_plan(spec, transform)
    share = np.full(120, 1 / 120, np.float32)
    return ModelInputs(spec, tables, group_tables(tables, Optimizers().of_table), share)


def with_large_values(model: Any) -> Any:
    """Makes variables as large as training does, so that no network is nearly linear."""
    tf_keras.utils.set_random_seed(3)
    model.make_variables()
    for weight in model.trainable_weights:
        drawn = tf.random.stateless_normal(weight.shape, [1, 2])
        weight.assign(drawn if weight.shape.rank == 1 else weight + 0.3 * drawn)
    return model


class Served(NamedTuple):
    model: TwoTower
    saved: tf.Module
    bundle: ServingBundle
    server: ModelServer
    prepared: PreparedData


@pytest.fixture(scope="module")
def served(
    prepared: PreparedData, spec: FeatureSpec, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A model with random tables, as trained, indexed, exported and served."""
    folder = tmp_path_factory.mktemp("explained")
    transform = tft.TFTransformOutput(str(prepared.transform))
    model = with_large_values(Deep(inputs_of(spec, transform), Deep.Settings(embedding_dim=DIM)))
    save_retrieval_model(model, transform, folder / "model", "sku")
    saved = tf.saved_model.load(str(folder / "model"))
    (items,) = read_serialized(prepared.items)
    vectors = saved.signatures["embed_item_examples"](examples=items)["embedding"].numpy()
    save_index(BruteForce(vectors), DIM, folder / "index")
    version = folder / "export" / "shop" / "1"
    ids = list(Catalogue(prepared.catalogue).ids)
    live = LiveItems(4, "sku", 0)
    export_bundle(folder / "model", folder / "index", ids, 5, version, live=live)
    bundle = ServingBundle(folder / "export")
    summary = {"name": "shop", "version": 1, "prepared": str(prepared.path)}
    manifest = Artifact(prepared.path).manifest.model_copy(update={"summary": summary})
    (bundle.path / "manifest.json").write_text(Manifest.model_dump_json(manifest))
    with ModelServer({"shop": version.parent}, port=0, rest_api_port=0) as server:
        yield Served(model, saved, bundle, server, prepared)


@pytest.fixture(scope="module", params=["grpc", "http", "here"])
def recommender(served: Served, request: pytest.FixtureRequest) -> Iterator[Recommender]:
    if request.param == "here":
        yield Recommender.load(served.bundle)
        return
    port = served.server.port if request.param == "grpc" else served.server.rest_api_port
    with Client(f"{request.param}://127.0.0.1:{port}") as client:
        yield Recommender.connect(client, "shop", Artifact(served.prepared.path))


def test_scores_are_those_of_recommend_and_add_up(recommender: Recommender) -> None:
    items = recommender.recommend(k=6, recent=RECENT, **SHOPPER)

    found = recommender.explain([item.id for item in items], recent=RECENT, **SHOPPER)

    assert [one[:2] for one in found] == [item[:2] for item in items]
    for one, item in zip(found, items, strict=True):
        assert one.score == pytest.approx(item.score, rel=1e-5)
        total = one.baseline + sum(one.features.values()) + one.remainder
        assert total == pytest.approx(one.score, abs=1e-4)
        assert abs(one.remainder) < 0.05 * max(map(abs, one.features.values()))
        assert one.features.keys() == {"shopper", "recent", "channel", "weekday"}
        assert one.history.keys() == {*RECENT}
        assert sum(one.history.values()) == pytest.approx(one.features["recent"], abs=1e-4)


def test_reasons_are_of_what_adds_most_and_unknown_items_have_none(
    recommender: Recommender,
) -> None:
    found = recommender.explain(ASKED, recent=RECENT, **SHOPPER)

    for one in found[:-1]:
        strongest = max(one.features, key=lambda name: one.features[name])
        bought = max(one.history, key=lambda item: one.history[item])
        expected = f"because_of:{strongest}"
        if strongest == "recent":
            expected = "buy_again" if bought == one.id else f"because_you_bought:{bought}"
        if one.score <= one.baseline:
            expected = "popular"
        assert one.reason == expected
    assert len({one.reason for one in found}) > 1
    assert (found[-1].reason, found[-1].name) == ("", "")
    assert np.isnan(found[-1].score)


def test_parts_are_plain_sums_of_gradients_along_the_way(served: Served) -> None:
    """Recomputed in NumPy from the tower's weights."""
    found = Recommender.load(served.bundle).explain(["sku-007"], recent=RECENT, **SHOPPER)[0]

    model, transform = served.model, tft.TFTransformOutput(str(served.prepared.transform))

    def row(name: str, value: str) -> tf.Tensor:
        known = transform.vocabulary_by_name(name)
        place = known.index(value.encode()) if value else len(known)
        return tf.constant([place], tf.int64)

    def embedded(values: dict[str, str], recent: list[str]) -> dict[str, np.ndarray]:
        rows = {name: row(name, value) for name, value in values.items()}
        lists = [[int(row("sku", item)[0]) for item in recent]]
        ragged = tf.ragged.constant(lists, tf.int64)
        return {n: v.numpy() for n, v in model.embedding({**rows, "recent": ragged}).items()}

    names = model.query_features
    ends, begins = embedded(SHOPPER, RECENT), embedded(dict.fromkeys(SHOPPER, ""), [])
    end, begin = (np.concatenate([of[n] for n in names], 1)[0] for of in (ends, begins))
    hidden, bias, output, shift = (weight.numpy() for weight in model._query_tower.weights)
    item = model.embed_item({"sku": row("sku", "sku-007"), "aisle": row("aisle", "aisle-1")})

    def score(x: np.ndarray) -> np.ndarray:
        vector = np.maximum(x @ hidden + bias, 0) @ output + shift
        lengths = np.linalg.norm(vector, axis=-1)
        return vector @ item.numpy()[0] / lengths / model.settings.temperature

    steps, small = 2000, 1e-4
    way = begin + (np.arange(steps)[:, np.newaxis] + 0.5) / steps * (end - begin)
    parts = np.zeros(len(end))
    for place in range(len(end)):
        move = np.eye(len(end))[place] * small
        slope = (score(way + move) - score(way - move)) / (2 * small)
        parts[place] = slope.mean() * (end - begin)[place]
    widths = np.cumsum([ends[name].shape[1] for name in names])[:-1]
    expected = {n: part.sum() for n, part in zip(names, np.split(parts, widths), strict=True)}
    assert found.score == pytest.approx(float(score(end)), abs=1e-3)
    assert found.baseline == pytest.approx(float(score(begin)), abs=1e-3)
    largest = max(map(abs, expected.values()))
    for name, value in expected.items():
        assert found.features[name] == pytest.approx(value, abs=0.05 * largest), name


def test_bundle_answers_as_the_saved_model_given_the_vectors(served: Served) -> None:
    items = np.array([["sku-005", "sku-001"], ["sku-002", ""]])
    numbers = np.vectorize(lambda item: int(item[4:] or 0))(items)
    features = {"sku": items, "aisle": np.char.add("aisle-", (numbers % 6).astype(str))}
    embed = served.saved.signatures["embed_item"]
    vectors = embed(**{n: tf.constant(values.reshape(-1)) for n, values in features.items()})
    vectors = tf.reshape(vectors["embedding"], [2, 2, DIM])
    vectors = tf.where(items[..., np.newaxis] == "", np.nan, vectors)
    expected = served.saved.signatures["explain_vectors"](
        **RAW, items=tf.constant(items), vectors=vectors
    )

    with Client(f"grpc://127.0.0.1:{served.server.port}") as client:
        given = {name: values.numpy().astype(str).astype(object) for name, values in RAW.items()}
        answer = client.predict("shop", {**given, "items": items.astype(object)}, signature=EXPLAIN)

    assert answer.keys() == expected.keys() == {*EXPLANATION}
    for name, values in expected.items():
        if values.dtype == tf.string:
            assert answer[name].tolist() == values.numpy().astype(str).tolist()
        else:
            np.testing.assert_allclose(answer[name], values, rtol=1e-4, atol=1e-5)
    assert answer["history"].tolist() == RAW["recent"].numpy().astype(str).tolist()
    assert (answer["history_contributions"][0, :, 1] == 0).all()


def test_rows_of_a_rest_request_are_answered_each(served: Served) -> None:
    import httpx

    rows = [{**SHOPPER, "recent": RECENT, "items": ASKED}] * 2
    address = f"http://127.0.0.1:{served.server.rest_api_port}/v1/models/shop:predict"

    answer = httpx.post(address, json={"signature_name": EXPLAIN, "instances": rows})

    one, other = json.loads(answer.content)["predictions"]
    assert one["reasons"] == other["reasons"]
    assert len(one["feature_contributions"][0]) == len(one["features"]) == 4


def test_items_that_come_while_serving_are_explained_and_removed_ones_are_unknown(
    served: Served,
) -> None:
    with Client(f"grpc://127.0.0.1:{served.server.port}") as client:
        asked = Recommender.connect(client, "shop", Artifact(served.prepared.path))
        put = {"items": np.array(["soup"], object), "aisle": np.array(["aisle-2"], object)}

        client.predict("shop", put, signature="put_items")
        (there,) = asked.explain(["soup"], recent=RECENT, **SHOPPER)
        client.predict("shop", {"items": put["items"]}, signature="remove_items")
        (gone,) = asked.explain(["soup"], recent=RECENT, **SHOPPER)

    total = there.baseline + sum(there.features.values()) + there.remainder
    assert total == pytest.approx(there.score, abs=1e-4)
    assert there.reason
    assert (gone.reason, np.isnan(gone.score)) == ("", True)


def test_query_prints_why_as_a_table_and_as_json(served: Served) -> None:
    command = [
        "query", "shop", "--server", f"grpc://127.0.0.1:{served.server.port}",
        "--prepared", str(served.prepared.path), "-k", "3", "--explain",
        "--shopper", "user-3", "--recent", ",".join(RECENT), "--channel", "app",
    ]  # fmt: skip

    table = CliRunner().invoke(cli, command, env={"COLUMNS": "160"})
    printed = CliRunner().invoke(cli, [*command, "--json"])

    items = json.loads(printed.output)
    assert len(items) == 3
    for item in items:
        assert item["explanation"]["features"].keys() == {"shopper", "recent", "channel", "weekday"}
        assert item["explanation"]["score"] == pytest.approx(item["score"], rel=1e-5)
    assert "why" in table.output
    assert any(word in table.output for word in ("because", "buy again", "popular"))


RAW = {
    "shopper": tf.constant(["user-3", ""]),
    "recent": tf.constant([["sku-001", "", "sku-002"], ["", "", ""]]),
    "channel": tf.constant(["app", ""]),
    "weekday": tf.constant(["Monday", ""]),
}


def test_rankers_explain_what_they_predict_also_of_items_that_a_bundle_holds(
    prepared: PreparedData, spec: FeatureSpec, tmp_path: Path
) -> None:
    transform = tft.TFTransformOutput(str(prepared.transform))
    model = with_large_values(DNN(inputs_of(spec, transform), DNN.Settings(hidden=(8,))))
    features = CatalogueFeatures(spec, model.item_features, prepared)
    save_ranking_model(model, transform, features, tmp_path, "sku")
    saved, catalogue = tf.saved_model.load(str(tmp_path)), Catalogue(prepared.catalogue)
    aisles = np.asarray(catalogue.table["aisle"].to_pylist(), object)
    ranker = Ranker(saved, {"aisle": aisles}, "sku", {"taken": 2.0}, 5, 3)
    items = tf.constant([["sku-005", "nothing"], ["sku-002", "sku-001"]])
    rows = catalogue.rows(list(items.numpy().astype(str).reshape(-1))).reshape(2, 2)

    own = saved.signatures["explain"](**RAW, items=items)
    held = ranker.explain(
        tf.constant(rows),
        {**RAW, "items": items},
        lambda cells: tf.gather(tf.constant(list(catalogue.ids)), cells),
    )

    predicted = saved.signatures["rank"](**RAW, items=items)["taken"]
    np.testing.assert_allclose(own["scores"], predicted, rtol=1e-5)
    assert np.isnan(predicted[0, 1])
    assert own.keys() == held.keys() == {*EXPLANATION}
    for name in ("scores", "baseline_scores", "feature_contributions", "history_contributions"):
        np.testing.assert_allclose(held[name], 2 * own[name], rtol=1e-3, atol=1e-5)
    for name in ("reasons", "features", "history", "history_method"):
        assert held[name].numpy().tolist() == own[name].numpy().tolist()
    assert own["reasons"].numpy()[:, 1].tolist() == [b"", b"popular"]
    sums = tf.reduce_sum(own["feature_contributions"], -1) + own["remainder"]
    np.testing.assert_allclose(sums, own["scores"] - own["baseline_scores"], atol=1e-5)
    assert np.abs(own["feature_contributions"][0, 0]).max() > 1e-3


def test_bundle_that_explains_nothing_says_so(prepared: PreparedData) -> None:
    plain = Recommender(lambda *_: {}, {"recommend": {}}, Artifact(prepared.path))

    with pytest.raises(
        UserError, match=r"^explain: the bundle has no such signature, .*; remove the"
    ):
        plain.explain(["sku-001"])
