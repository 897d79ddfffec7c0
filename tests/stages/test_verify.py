"""Export verifies what it wrote, and `tfrec verify` does so again wherever a version lies."""

import re
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from shop import ITEMS, USERS

from tfrec.cli.main import cli
from tfrec.config import validate
from tfrec.data.prepared import PreparedData
from tfrec.errors import UserError
from tfrec.retrieval.brute_force import BruteForce
from tfrec.retrieval.config import IndexConfig
from tfrec.retrieval.reranking import Rules
from tfrec.retrieval.saving import save_index
from tfrec.serving.config import ServingConfig
from tfrec.serving.names import FILTERED, RECOMMEND
from tfrec.serving.verify import VERIFICATION_FILE, verify
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.export import ServingBundle, export
from tfrec.stages.index import ItemIndex, build
from tfrec.stages.reporter import Reporter
from tfrec.stages.train import TrainedModel

DIM, BUCKETS = 4, 97


class Made(NamedTuple):
    prepared: Artifact
    trained: TrainedModel
    indexed: ItemIndex
    bundle: ServingBundle


@pytest.fixture(scope="module")
def made(prepared: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A model of random vectors, exported with all that a bundle can have."""
    folder, artifact = tmp_path_factory.mktemp("verified"), Artifact(prepared.path)
    trained = TrainedModel(produce("train", {}, {}, folder / "train", save_model).path)
    items = np.random.default_rng(0).normal(size=(ITEMS, DIM)).astype(np.float32)
    indexed = make_index(items, trained, folder / "index")
    bundle = export(serving(folder), artifact, trained, indexed, folder / "export")
    return Made(artifact, trained, indexed, bundle)


def save_model(folder: Path) -> dict:
    module = tf.Module()
    vectors = np.random.default_rng(1).normal(size=(BUCKETS, DIM))
    module.vectors = tf.Variable(vectors, dtype=tf.float32, name="shopper_vectors")

    def embed(*names: str) -> tf.types.experimental.PolymorphicFunction:
        specs = {name: tf.TensorSpec([None], tf.string, name) for name in names}

        @tf.function(input_signature=[specs])
        def signature(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            buckets = [tf.strings.to_hash_bucket_fast(features[name], BUCKETS) for name in names]
            return {"embedding": tf.add_n([tf.gather(module.vectors, one) for one in buckets])}

        return signature

    signatures = {"embed_query": embed("shopper", "weekday"), "embed_item": embed("sku", "aisle")}
    module.functions = list(signatures.values())
    tf.saved_model.save(module, str(folder / "saved_model"), signatures=signatures)
    return {}


def make_index(items: np.ndarray, trained: TrainedModel, path: Path) -> ItemIndex:
    config = IndexConfig()
    queries = np.random.default_rng(2).normal(size=(20, DIM)).astype(np.float32)

    def make(folder: Path) -> dict:
        return build(config, items, queries, folder, Reporter())

    made_of = {"train": trained.manifest.id}
    return ItemIndex(produce("index", config.model_dump(mode="json"), made_of, path, make).path)


def serving(folder: Path) -> ServingConfig:
    section = {"name": "shop", "root": str(folder), "filters": ["aisle"], "live_items": 4}
    return validate(ServingConfig, section, "serving")


def plain(folder: Path) -> ServingConfig:
    return validate(ServingConfig, {"name": "shop", "root": str(folder)}, "serving")


def test_manifest_says_how_near_each_signature_came(made: Made) -> None:
    (checked,) = made.bundle.manifest.summary["verified"].values()

    assert {one["signature"] for one in checked} == {
        "embed_query", "embed_item", RECOMMEND, FILTERED, "serving_default"
    }  # fmt: skip
    assert max(one["difference"] for one in checked) < 1e-6
    lists = [one for one in checked if one["recall"] is not None]
    assert [one["recall"] for one in lists] == [1, 1, 1]
    assert {one["requests"] for one in lists} == {USERS}


def test_command_verifies_an_artefact_and_a_copy_of_its_version(made: Made, tmp_path: Path) -> None:
    copy = shutil.copytree(made.bundle.version, tmp_path / "models" / "7")

    for place in (made.bundle.path, copy):
        done = CliRunner().invoke(cli, ["verify", str(place)])

        assert done.exit_code == 0
        assert "recommend_filtered" in done.output


def scale_variable(version: Path, like: str) -> None:
    """Makes the numbers of a variable in a checkpoint a hundredth larger."""
    prefix = str(version / "variables" / "variables")
    reader = tf.train.load_checkpoint(prefix)
    values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    (name,) = (name for name in values if like in name)
    values[name] = values[name] * 1.01
    tensors = [tf.constant(value) for value in values.values()]
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=list(values), shape_and_slices=[""] * len(values),
        tensors=tensors,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("variable", "signature"), [("_model/vectors", "embed_query"), ("_embeddings", "recommend")]
)
def test_version_whose_variables_were_altered_is_refused_by_name(
    made: Made, tmp_path: Path, variable: str, signature: str
) -> None:
    version = shutil.copytree(made.bundle.version, tmp_path / "1")
    scale_variable(version, variable)

    done = CliRunner().invoke(cli, ["verify", str(version)])

    assert isinstance(done.exception, UserError)
    assert done.exception.exit_status == 2
    found = re.search(r"1: (\w+): request .* differs the most, by ([\d.]+)", str(done.exception))
    assert found
    assert found[1] == signature
    assert 0.002 < float(found[2]) < 0.0101


def test_bundle_with_another_index_is_not_exported_nor_is_a_twin(
    made: Made, tmp_path: Path
) -> None:
    indexed = ItemIndex(shutil.copytree(made.indexed.path, tmp_path / "index"))
    save_index(BruteForce(np.ones([ITEMS, DIM], np.float32)), DIM, indexed.twin)

    with pytest.raises(UserError, match=r"twin/shop/\d+: recommend: request .* differs the most"):
        export(plain(tmp_path), made.prepared, made.trained, indexed, tmp_path / "export")

    assert not (tmp_path / "export").exists()


def test_re_ranked_lists_are_compared_by_their_items(made: Made, tmp_path: Path) -> None:
    steps = [{"kind": "cap", "feature": "aisle", "limit": 2}, {"kind": "mmr", "trade_off": 0.1}]
    rules = validate(Rules, {"steps": steps[::-1], "pinned": {"sku-119": 2}}, "reranking")
    parts = made.prepared, made.trained, made.indexed

    bundle = export(plain(tmp_path), *parts, tmp_path / "export", rules=rules)

    checked = {one.signature: one for one in verify(bundle.version)}
    assert (checked[RECOMMEND].difference, checked[RECOMMEND].recall) == (None, 1)
    assert checked["embed_query"].difference == 0


def test_version_without_stored_requests_is_refused_with_the_remedy(
    made: Made, tmp_path: Path
) -> None:
    version = shutil.copytree(made.bundle.version, tmp_path / "1")
    (version / VERIFICATION_FILE).unlink()

    done = CliRunner().invoke(cli, ["verify", str(version)])

    assert isinstance(done.exception, UserError)
    assert "missing; the bundle holds no requests to verify it by" in str(done.exception)
