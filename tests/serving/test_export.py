from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tfrec.retrieval.brute_force import BruteForce
from tfrec.retrieval.chunked_flat import ChunkedFlat
from tfrec.retrieval.filters import ItemFilter
from tfrec.retrieval.index import Index
from tfrec.retrieval.partitioned import Partitioned
from tfrec.retrieval.partitioned_flat import PartitionedFlat
from tfrec.retrieval.saving import save_index
from tfrec.retrieval.scann_index import Scann
from tfrec.serving.export import export_bundle, write_warmup
from tfrec.serving.names import FILTERED, RECOMMEND
from tfrec.serving.op_audit import foreign_ops, servers_of
from tfrec.serving.tensors import from_proto
from tfrec.serving.warmup import WARMUP_FILE


def test_warmup_requests_keep_the_types_of_strings_numbers_and_vectors(tmp_path: Path) -> None:
    request = {
        "shopper": np.array(["ann", ""], object),
        "genres": np.array([["a", "b"], ["c", ""]], object),
        "price": np.array([3.5, np.nan], np.float32),
        "style": np.array([[1, 2, 3], [0, 0, 0]], np.float32),
        "k": np.int32(7),
    }

    write_warmup(tmp_path, "shop", [(RECOMMEND, request), (FILTERED, request)])

    records = [raw.numpy() for raw in tf.data.TFRecordDataset(str(tmp_path / WARMUP_FILE))]
    assert len(records) == 2
    read = prediction_log_pb2.PredictionLog.FromString(records[0]).predict_log.request
    assert (read.model_spec.name, read.model_spec.signature_name) == ("shop", RECOMMEND)
    tensors = {name: from_proto(tensor) for name, tensor in read.inputs.items()}
    assert tensors["genres"].tolist() == [[b"a", b"b"], [b"c", b""]]
    assert tensors["shopper"].tolist() == [b"ann", b""]
    for name in ("price", "style", "k"):
        assert tensors[name].dtype == request[name].dtype
        np.testing.assert_array_equal(tensors[name], request[name])


DIM, ITEMS = 3, 12
KINDS = [BruteForce, Partitioned, ChunkedFlat, PartitionedFlat, Scann]


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ITEMS, DIM)).astype(np.float32)


def save_model(path: Path) -> Path:
    """A model whose query vector is the feature `taste`."""
    module = tf.Module()
    specs = {"taste": tf.TensorSpec([None, DIM], tf.float32, "taste")}

    @tf.function(input_signature=[specs])
    def embed_query(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"embedding": tf.identity(features["taste"])}

    module.embed_query = embed_query
    tf.saved_model.save(module, str(path), signatures={"embed_query": embed_query})
    return path


@pytest.fixture(scope="module", params=KINDS)
def filtered_bundle(
    vectors: np.ndarray, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("filtered")
    save_index(request.param(vectors), DIM, folder / "index")
    ids = [f"item-{row:02}" for row in range(ITEMS)]
    kinds = ["tea", "cake", "jam"] * (ITEMS // 3)
    prices = pa.array(np.arange(ITEMS), pa.float32())
    table = pa.table({"_id": ids, "kind": kinds, "price": prices})
    item_filter = ItemFilter(table, ("kind", "price"), np.arange(ITEMS) >= 9)
    bundle = folder / "1"
    export_bundle(save_model(folder / "model"), folder / "index", ids, 3, bundle, item_filter)
    return bundle


def ask(bundle: Path, **given: Any) -> tuple[list[list[str]], np.ndarray, list[int]]:
    inputs = {
        "only_kind": [[""]] * 2,
        "least_price": [np.nan] * 2,
        "most_price": [np.nan] * 2,
        "exclude": np.full([2, 0], ""),
        "new_items": 0,
        "k": 5,
        **given,
    }
    signature = tf.saved_model.load(str(bundle)).signatures[FILTERED]
    types = signature.structured_input_signature[1]
    answer = signature(
        **{name: tf.constant(value, types[name].dtype) for name, value in inputs.items()}
    )
    ids = [[item.decode() for item in row] for row in answer["ids"].numpy()]
    return ids, answer["scores"].numpy(), answer["left"].numpy().tolist()


def test_filtered_recommendations_are_the_best_of_what_passes(
    filtered_bundle: Path, vectors: np.ndarray
) -> None:
    taste = np.random.default_rng(1).normal(size=(2, DIM)).astype(np.float32)

    ids, scores, left = ask(
        filtered_bundle,
        taste=taste,
        only_kind=[["tea", "jam"], ["", ""]],
        most_price=[np.nan, 6],
        exclude=[["item-00", ""], ["item-03", "unheard of"]],
    )

    passing = [[r for r in range(1, ITEMS) if r % 3 != 1], [0, 1, 2, 4, 5, 6]]
    assert left == [len(rows) for rows in passing]
    for query, rows, found, given in zip(taste, passing, ids, scores, strict=True):
        best = sorted(rows, key=lambda row: -vectors[row] @ query)[:5]
        assert found == [f"item-{row:02}" for row in best]
        np.testing.assert_allclose(given, vectors[best] @ query, rtol=1e-4, atol=1e-5)


def test_short_list_says_how_many_items_passed(filtered_bundle: Path) -> None:
    ids, scores, left = ask(filtered_bundle, taste=np.ones([2, DIM]), least_price=[10, 99])

    assert left == [2, 0]
    assert [sum(map(bool, row)) for row in ids] == [2, 0]
    assert np.isinf(scores).sum() == 3 + 5


def test_new_items_are_in_the_list_where_they_are_asked_for(filtered_bundle: Path) -> None:
    taste = np.random.default_rng(2).normal(size=(2, DIM))

    ids, _, _ = ask(filtered_bundle, taste=taste, new_items=3)

    assert all(sum(item >= "item-09" for item in row) >= 3 for row in ids)


def test_bundle_without_a_filter_has_no_filtered_signature(
    vectors: np.ndarray, tmp_path: Path
) -> None:
    save_index(BruteForce(vectors), DIM, tmp_path / "index")
    ids = [str(row) for row in range(ITEMS)]

    export_bundle(save_model(tmp_path / "model"), tmp_path / "index", ids, 3, tmp_path / "1")

    assert FILTERED not in tf.saved_model.load(str(tmp_path / "1")).signatures


@pytest.mark.parametrize(
    ("kind", "foreign", "servers"),
    [
        (Partitioned, False, ["tensorflow_serving", "tfrec"]),
        (Scann, True, ["tfrec"]),
    ],
)
def test_audit_names_foreign_operations_and_the_servers_that_have_them(
    vectors: np.ndarray, tmp_path: Path, kind: type[Index], foreign: bool, servers: list[str]
) -> None:
    save_index(kind(vectors), DIM, tmp_path)

    found = foreign_ops(tmp_path)

    assert bool(found) == foreign
    assert all(name.startswith("Scann>") for name in found)
    assert servers_of(found) == servers


def test_bundle_with_operations_of_nobody_loads_nowhere() -> None:
    assert servers_of(["Scann>ScannSearch", "Other>Op"]) == []
