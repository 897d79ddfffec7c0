"""A bundle with a ranker: what the index finds is put in order by a second model."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from shop import ITEMS

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.prepared import PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.retrieval.config import IndexConfig
from tfrec.retrieval.reranking import Rules
from tfrec.serving.config import ServingConfig
from tfrec.serving.names import FILTERED, RECOMMEND
from tfrec.serving.verify import refuse_faults, verify
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.export import ServingBundle, export
from tfrec.stages.index import ItemIndex, build
from tfrec.stages.reporter import Reporter
from tfrec.stages.train import TrainedModel

CANDIDATES, K, SHOPPERS, DIM, BUCKETS = 12, 4, 3, 4, 97
WEIGHTS = {"click": 1.0, "buy": 4.0}
STRINGS, NUMBERS = tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.float32)


class Made(NamedTuple):
    """What a bundle is made of."""

    prepared: Artifact
    trained: TrainedModel
    indexed: ItemIndex
    ranker: Path
    bundle: ServingBundle


@pytest.fixture(scope="module")
def made(prepared: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Random vectors and a ranker that hashes, exported with all that a bundle can have."""
    folder, artifact = tmp_path_factory.mktemp("ranked"), Artifact(prepared.path)
    trained = TrainedModel(produce("train", {}, {}, folder / "train", save_retrieval).path)
    vectors = np.random.default_rng(0).normal(size=(ITEMS, DIM)).astype(np.float32)

    def make(directory: Path) -> dict[str, Any]:
        return build(IndexConfig(), vectors, vectors[:9], directory, Reporter())

    index = IndexConfig().model_dump(mode="json")
    made_of = {"train": trained.manifest.id}
    indexed = ItemIndex(produce("index", index, made_of, folder / "index", make).path)
    ranker = save_ranker(folder / "ranker", Catalogue(prepared.catalogue))
    config = serving(folder, ranker, filters=["aisle"], live_items=6)
    bundle = export(config, artifact, trained, indexed, folder / "export")
    return Made(artifact, trained, indexed, ranker, bundle)


@pytest.fixture(scope="module")
def loaded(made: Made) -> Any:
    """The bundle in this process; its items must not be changed."""
    return tf.saved_model.load(str(made.bundle.version))


def save_retrieval(folder: Path) -> dict[str, Any]:
    module = tf.Module()
    vectors = np.random.default_rng(1).normal(size=(BUCKETS, DIM))
    module.vectors = tf.Variable(vectors, dtype=tf.float32)

    def embed(*names: str) -> Any:
        @tf.function(input_signature=[{name: like(STRINGS, name) for name in names}])
        def signature(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            buckets = [tf.strings.to_hash_bucket_fast(features[name], BUCKETS) for name in names]
            return {"embedding": tf.add_n([tf.gather(module.vectors, one) for one in buckets])}

        return signature

    signatures = {"embed_query": embed("shopper", "weekday"), "embed_item": embed("sku", "aisle")}
    module.functions = list(signatures.values())
    tf.saved_model.save(module, str(folder / "saved_model"), signatures=signatures)
    return {}


def predict(shopper: tf.Tensor, sku: tf.Tensor, aisle: tf.Tensor) -> dict[str, tf.Tensor]:
    """The toy ranker: numbers that depend on everything, for tensors that broadcast."""
    together = shopper + "/" + sku + "/" + aisle
    return {
        task: tf.cast(tf.strings.to_hash_bucket_fast(task + together, 9973), tf.float32) / 9973
        for task in WEIGHTS
    }


def like(spec: tf.TensorSpec, name: str) -> tf.TensorSpec:
    return tf.TensorSpec(spec.shape, spec.dtype, name)


def save_ranker(target: Path, catalogue: Catalogue) -> Path:
    """A ranker that takes one feature of queries and two of items."""
    module = tf.Module()
    aisles = catalogue.table["aisle"].fill_null("").to_pylist()
    keys = tf.lookup.KeyValueTensorInitializer(
        tf.constant(list(catalogue.ids)), tf.constant(aisles)
    )
    module.aisles = tf.lookup.StaticHashTable(keys, "?")
    wide = tf.TensorSpec([None, None], tf.string)

    @tf.function(
        input_signature=[{"shopper": like(STRINGS, "shopper"), "items": like(wide, "items")}]
    )
    def rank(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        items, shopper = inputs["items"], inputs["shopper"][:, tf.newaxis]
        known = module.aisles.lookup(items)
        found = predict(shopper, items, known)
        return {task: tf.where(known == "?", np.nan, value) for task, value in found.items()}

    specs = {name: like(STRINGS, name) for name in ("shopper", "sku", "aisle")}
    specs["places"] = tf.TensorSpec([None, None], tf.int32, "places")

    @tf.function(input_signature=[specs])
    def rank_features(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        sku, aisle = (tf.gather(inputs[name], inputs["places"]) for name in ("sku", "aisle"))
        return predict(inputs["shopper"][:, tf.newaxis], sku, aisle)

    signatures = {"rank": rank, "rank_features": rank_features}
    module.functions = list(signatures.values())

    def write(directory: Path) -> dict[str, Any]:
        tf.saved_model.save(module, str(directory / "saved_model"), signatures=signatures)
        return {"tasks": {"click": "click", "buy": "buy"}}

    return produce("train", {"ranks": True}, {}, target, write).path


def serving(folder: Path, ranker: Path, weights: Any = WEIGHTS, **more: Any) -> ServingConfig:
    section = {"model": str(ranker), "candidates": CANDIDATES, "weights": weights}
    content = {"name": "shop", "root": str(folder), "k": K, "ranker": section, **more}
    return validate(ServingConfig, content, "serving")


def queries_of(data: PreparedData) -> dict[str, np.ndarray]:
    held_out = QuerySet.read_held_out(data).table.slice(0, SHOPPERS)
    return QuerySet(held_out).inputs(["shopper", "weekday"])


def expected_lists(
    made: Made,
    data: PreparedData,
    allowed: Callable[[int, int], bool] = lambda query, row: True,
    weights: dict[str, float] = WEIGHTS,
) -> list[list[tuple[str, float]]]:
    """Recomputes lists in NumPy: candidates by the products of vectors, then by the ranker."""
    queries, catalogue = queries_of(data), Catalogue(data.catalogue)
    aisles = catalogue.table["aisle"].fill_null("").to_pylist()
    tasks = predict(queries["shopper"][:, np.newaxis], list(catalogue.ids), aisles)
    own = sum(weight * tasks[task].numpy() for task, weight in weights.items())
    embed = tf.saved_model.load(str(made.trained.saved_model)).signatures["embed_query"]
    vectors = embed(**constants(queries))["embedding"].numpy()
    lists = []
    for query, scores in enumerate(vectors @ made.indexed.embeddings().T):
        rows = [row for row in np.argsort(-scores) if allowed(query, row)][:CANDIDATES]
        best = sorted(rows, key=lambda row: -own[query, row])[:K]
        lists.append([(catalogue.ids[row], own[query, row]) for row in best])
    return lists


def constants(inputs: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(value) for name, value in inputs.items()}


def answer(
    loaded: Any, data: PreparedData, signature: str, **given: Any
) -> list[list[tuple[str, float]]]:
    asked = loaded.signatures[signature]
    specs = asked.structured_input_signature[1]
    nothing = {"k": K, "new_items": 0, "exclude": np.full([SHOPPERS, 0], "")}
    nothing["only_aisle"] = np.full([SHOPPERS, 0], "")
    inputs = {**nothing, **queries_of(data), **given}
    found = asked(**{name: tf.constant(inputs[name], spec.dtype) for name, spec in specs.items()})
    ids = [[item.decode() for item in row] for row in found["ids"].numpy()]
    return [
        [(item, score) for item, score in zip(*row, strict=True) if item]
        for row in zip(ids, found["scores"].numpy(), strict=True)
    ]


def assert_same(
    lists: Sequence[list[tuple[str, float]]], expected: Sequence[list[tuple[str, float]]]
) -> None:
    for one, other in zip(lists, expected, strict=True):
        assert [item for item, _ in one] == [item for item, _ in other]
        assert [s for _, s in one] == pytest.approx([s for _, s in other], rel=1e-5)


@pytest.mark.parametrize("signature", ["recommend", "serving_default"])
def test_candidates_of_the_index_come_in_the_order_of_the_ranker(
    made: Made, loaded: Any, prepared: PreparedData, signature: str
) -> None:
    assert_same(answer(loaded, prepared, signature), expected_lists(made, prepared))


def test_longer_lists_have_more_candidates(made: Made, loaded: Any, prepared: PreparedData) -> None:
    lists = answer(loaded, prepared, RECOMMEND, k=ITEMS)

    assert [len(one) for one in lists] == [ITEMS] * SHOPPERS
    assert all(scores == sorted(scores, reverse=True) for scores in scores_of(lists))


def scores_of(lists: Sequence[list[tuple[str, float]]]) -> list[list[float]]:
    return [[score for _, score in one] for one in lists]


def test_excluded_items_are_no_candidates(made: Made, loaded: Any, prepared: PreparedData) -> None:
    first = [[one[0][0], "unheard of"] for one in expected_lists(made, prepared)]
    ids = Catalogue(prepared.catalogue).ids

    lists = answer(loaded, prepared, RECOMMEND, exclude=np.array(first, object))

    assert_same(lists, expected_lists(made, prepared, lambda q, row: ids[row] != first[q][0]))


def test_filters_choose_the_candidates_and_new_items_are_ranked_too(
    made: Made, loaded: Any, prepared: PreparedData
) -> None:
    aisles = Catalogue(prepared.catalogue).table["aisle"].to_pylist()
    wanted = [["aisle-1", "aisle-2"], ["aisle-4", ""], ["", ""]]

    lists = answer(loaded, prepared, FILTERED, only_aisle=wanted)
    mixed = answer(loaded, prepared, FILTERED, new_items=1)

    def allowed(query: int, row: int) -> bool:
        return not any(wanted[query]) or aisles[row] in wanted[query]

    assert_same(lists, expected_lists(made, prepared, allowed))
    # The last two items never sold.
    assert all({"sku-118", "sku-119"} & {item for item, _ in one} for one in mixed)
    assert all(scores == sorted(scores, reverse=True) for scores in scores_of(mixed))


def test_rank_of_the_bundle_returns_each_task_as_the_rankers_own(
    made: Made, loaded: Any, prepared: PreparedData
) -> None:
    shoppers = {"shopper": tf.constant(queries_of(prepared)["shopper"])}
    items = tf.constant([["sku-003", "unheard of", "sku-119"]] * SHOPPERS)

    given = loaded.signatures["rank"](**shoppers, items=items)

    own = tf.saved_model.load(str(made.ranker / "saved_model")).signatures["rank"]
    expected = own(**shoppers, items=items)
    assert given.keys() == expected.keys() == WEIGHTS.keys()
    for task, values in expected.items():
        np.testing.assert_allclose(given[task], values, rtol=1e-6)


def test_item_that_is_put_is_ranked_by_its_features_until_it_is_removed(
    made: Made, prepared: PreparedData
) -> None:
    bundle = tf.saved_model.load(str(made.bundle.version))
    shopper = tf.constant(queries_of(prepared)["shopper"])
    items = tf.constant([["new-1", "sku-000"]] * SHOPPERS)
    changed = {"items": tf.constant(["new-1", "sku-000"]), "aisle": tf.constant(["spices"] * 2)}
    bundle.signatures["put_items"](**changed)

    ranked = bundle.signatures["rank"](shopper=shopper, items=items)
    lists = answer(bundle, prepared, RECOMMEND, k=ITEMS)

    expected = predict(shopper[:, tf.newaxis], items, tf.constant("spices"))
    np.testing.assert_allclose(ranked["buy"], expected["buy"], rtol=1e-6)
    scores = sum(weight * expected[task].numpy() for task, weight in WEIGHTS.items())
    for one, (new, old) in zip(map(dict, lists), scores, strict=True):
        assert one.get("new-1", new) == pytest.approx(new, rel=1e-5)
        assert one.get("sku-000", old) == pytest.approx(old, rel=1e-5)
    assert any("new-1" in dict(one) for one in lists)
    bundle.signatures["remove_items"](items=tf.constant(["new-1"]))
    ranked = bundle.signatures["rank"](shopper=shopper, items=items)
    assert np.isnan(ranked["buy"][:, 0]).all()
    assert np.isfinite(ranked["buy"][:, 1]).all()


def test_rules_make_lists_of_what_the_ranker_put_in_order(
    made: Made, prepared: PreparedData, tmp_path: Path
) -> None:
    steps = [{"kind": "cap", "feature": "aisle", "limit": 1}]
    rules = validate(Rules, {"steps": steps, "candidates": 2}, "reranking")
    catalogue = Catalogue(prepared.catalogue)
    aisles = dict(zip(catalogue.ids, catalogue.table["aisle"].to_pylist(), strict=True))
    config, parts = serving(tmp_path, made.ranker, {}), (made.prepared, made.trained, made.indexed)

    bundle = export(config, *parts, tmp_path / "export", rules=rules)

    ordered = expected_lists(made, prepared, weights={"click": 1.0})
    lists = answer(tf.saved_model.load(str(bundle.version)), prepared, RECOMMEND, k=2)
    for one, (first, *rest) in zip(lists, ordered, strict=True):
        others = [item for item, _ in rest if aisles[item] != aisles[first[0]]]
        assert [item for item, _ in one][:1] == [first[0]]
        assert not others or one[1][0] == others[0]


def test_ranked_lists_are_verified_item_by_item(made: Made, tmp_path: Path) -> None:
    (verified,) = made.bundle.manifest.summary["verified"].values()
    checked = {one["signature"]: one for one in verified}
    assert {"rank", RECOMMEND, FILTERED, "serving_default"} <= set(checked)
    assert max(one["difference"] for one in verified) < 1e-5
    assert [checked[name]["recall"] for name in (RECOMMEND, FILTERED)] == [1, 1]
    assert made.bundle.manifest.summary["ranker_knows"] == 1
    assert made.bundle.manifest.inputs["ranker"] == Artifact(made.ranker).manifest.id
    version = shutil.copytree(made.bundle.version, tmp_path / "1")
    turn_round(version, "_ranker/_cells/aisle/built")
    with pytest.raises(UserError, match=r"1: rank: request .* differs the most"):
        refuse_faults(version, verify(version))


def turn_round(version: Path, like: str) -> None:
    """Gives each item the value of another one in a bundle's variables."""
    prefix = str(version / "variables" / "variables")
    reader = tf.train.load_checkpoint(prefix)
    values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    (name,) = (name for name in values if like in name)
    values[name] = values[name][::-1]
    tensors = [tf.constant(value) for value in values.values()]
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=list(values), shape_and_slices=[""] * len(values),
        tensors=tensors,
    )  # fmt: skip


def save_other(
    folder: Path, *, query: dict[str, Any], item: dict[str, Any], known: bool = True
) -> Path:
    """A ranker that takes other features, and knows every id or none."""
    module = tf.Module()
    prediction = 1.0 if known else np.nan
    ids = {"items": tf.TensorSpec([None, None], tf.string)}
    places = {"places": tf.TensorSpec([None, None], tf.int32)}

    def signature(shaped_as: str, specs: dict[str, Any]) -> Any:
        @tf.function(input_signature=[{name: like(spec, name) for name, spec in specs.items()}])
        def rank(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            shape = tf.shape(inputs[shaped_as])
            return {task: tf.fill(shape, prediction) for task in ("one", "other")}

        return rank

    signatures = {
        "rank": signature("items", {**query, **ids}),
        "rank_features": signature("places", {**query, **item, **places}),
    }
    module.functions = list(signatures.values())

    def write(directory: Path) -> dict[str, Any]:
        tf.saved_model.save(module, str(directory / "saved_model"), signatures=signatures)
        return {}

    return produce("train", {}, {}, folder / "toy", write).path


@pytest.mark.parametrize(
    ("features", "weights", "message"),
    [
        ({"query": {"size": STRINGS}, "item": {}}, {"one": 1},
         "serving.ranker.model: .*toy takes the feature 'size', and requests .* carry .*weekday"),
        ({"query": {"weekday": NUMBERS}, "item": {}}, {"one": 1},
         r"takes weekday as float32 \[batch\], and in this config it is string \[batch\]; give"),
        ({"query": {}, "item": {"stock": NUMBERS}}, {"one": 1},
         "takes the item feature 'stock', and the items of this bundle have aisle, .*add it to"),
        ({"query": {}, "item": {"aisle": tf.TensorSpec([None, None], tf.string)}}, {"one": 1},
         r"takes aisle as string \[batch, values\], and in this config it is string \[batch\]"),
        ({"query": {"weekday": STRINGS}, "item": {}, "known": False}, {"one": 1},
         r"was trained on other items: it knows 0% of the catalogue's ids, not 'sku-000', "),
        ({"query": {"weekday": STRINGS}, "item": {}}, {},
         r"serving.ranker.weights: missing; .* has the tasks one, other: say what each counts"),
        ({"query": {"weekday": STRINGS}, "item": {}}, {"third": 1},
         "serving.ranker.weights: 'third' is no task of .*; those are one, other"),
    ],
)  # fmt: skip
def test_ranker_that_does_not_fit_is_refused_with_the_remedy(
    made: Made, tmp_path: Path, features: dict[str, Any], weights: dict, message: str
) -> None:
    config = serving(tmp_path, save_other(tmp_path, **features), weights)

    with pytest.raises(UserError, match=message):
        export(config, made.prepared, made.trained, made.indexed, tmp_path / "export")


def test_what_is_no_ranker_is_refused(made: Made, tmp_path: Path) -> None:
    def run(model: Path) -> None:
        config = serving(tmp_path, model)
        export(config, made.prepared, made.trained, made.indexed, tmp_path / "export")

    with pytest.raises(UserError, match="has no signature rank_features; take a ranking template"):
        run(made.trained.path)
    with pytest.raises(UserError, match=r"is of the stage index; name the training artefact"):
        run(made.indexed.path)
