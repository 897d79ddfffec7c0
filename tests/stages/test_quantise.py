"""Bundles whose models keep their weights in fewer bytes."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from shop import ITEMS

from tfrec.cli import reporter
from tfrec.config import validate
from tfrec.data.prepared import PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.embeddings.quantised import quantise
from tfrec.errors import UserError
from tfrec.evaluation.config import Protocol
from tfrec.features import FeatureSpec
from tfrec.models import TwoTower
from tfrec.models.template import ModelConfig, source_digest
from tfrec.retrieval.config import IndexConfig
from tfrec.serving.config import ServingConfig
from tfrec.serving.verify import VERIFICATION_FILE
from tfrec.serving.verify import _read_requests as stored_requests
from tfrec.stages import export as export_stage
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.export import ServingBundle, export
from tfrec.stages.index import ItemIndex, build
from tfrec.stages.quantise import save_quantised
from tfrec.stages.reporter import Reporter
from tfrec.stages.train import TrainedModel, save_model
from tfrec.training.config import TrainingConfig
from tfrec.training.job import TrainingJob

DIM, PROTOCOL = 4, Protocol(k=(5,), resamples=100)


class Made(NamedTuple):
    prepared: Artifact
    trained: TrainedModel
    indexed: ItemIndex
    bundle: ServingBundle


@pytest.fixture(scope="module")
def made(
    prepared: PreparedData, spec: FeatureSpec, tmp_path_factory: pytest.TempPathFactory
) -> Made:
    """A two-tower model of random weights, exported in bytes."""
    folder, data = tmp_path_factory.mktemp("quantised"), Artifact(prepared.path)
    sections = {"training": {}, "model": {}}
    inputs = {"prepare": data.manifest.id, "template": source_digest(TwoTower)}

    def write(output: Path) -> dict:
        model = ModelConfig(template="tfrec.models.TwoTower", embedding_dim=DIM)
        training = TrainingConfig(strategy="single")
        job = TrainingJob(
            features=spec, model=model, training=training, prepared=prepared.path, output=output
        )
        job.write()
        built = job.build_model()
        random = np.random.default_rng(0)
        for weight in built.trainable_weights:
            weight.assign(random.normal(0, 0.3, weight.shape))
        tf.train.Checkpoint(model=built).save(str(job.checkpoints / "ckpt"))
        save_model(job, TrainedModel(output).saved_model)
        return {}

    trained = TrainedModel(produce("train", sections, inputs, folder / "train", write).path)
    indexed = make_index(trained, folder / "index")
    bundle = export(serving("int8"), data, trained, indexed, folder / "export", protocol=PROTOCOL)
    return Made(data, trained, indexed, bundle)


def make_index(trained: TrainedModel, path: Path) -> ItemIndex:
    """Of random vectors: whose they are makes no difference here."""
    random = np.random.default_rng(1)
    vectors = random.normal(size=(ITEMS, DIM)).astype(np.float32)
    queries = random.normal(size=(5, DIM)).astype(np.float32)
    config = IndexConfig(kind="brute_force")

    def make(folder: Path) -> dict:
        return build(config, vectors, queries, folder, Reporter())

    inputs = {"train": trained.manifest.id}
    return ItemIndex(produce("index", config.model_dump(mode="json"), inputs, path, make).path)


def serving(precision: str) -> ServingConfig:
    return validate(ServingConfig, {"name": "shop", "k": 5, "precision": precision}, "serving")


def variables(saved_model: Path) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(str(saved_model / "variables" / "variables"))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.endswith("VARIABLE_VALUE")
    }


def test_every_table_of_the_bundle_is_there_in_bytes_alone(made: Made) -> None:
    trained, kept = variables(made.trained.saved_model), variables(made.bundle.version)
    rounded = [values.tolist() for values in kept.values() if values.dtype == np.int8]
    floats = [values.shape for values in kept.values() if values.dtype == np.float32]

    matrices = [w for w in trained.values() if w.ndim == 2 and w.dtype == np.float32]
    assert len(matrices) > 2
    assert len(rounded) == len(matrices)
    for weights in matrices:
        ways = [quantise(weights, "int8", axis).values.tolist() for axis in (0, -1)]
        assert any(way in rounded for way in ways)
        assert weights.shape not in floats


def test_sizes_of_both_models_are_kept(made: Made) -> None:
    sizes = made.bundle.manifest.summary["model_bytes"]

    files = (made.trained.saved_model / "variables").iterdir()
    assert sizes["trained"] == sum(file.stat().st_size for file in files)
    assert sizes["quantised"] < sizes["trained"]
    assert not list(made.bundle.path.glob("quantised_model*"))


def test_change_of_metrics_is_that_of_lists_recomputed_in_numpy(
    made: Made, prepared: PreparedData
) -> None:
    queries = QuerySet.read(prepared.queries("test"))
    items = made.indexed.embeddings()
    assert items is not None
    wanted: list[set[int]] = [set() for _ in range(len(queries))]
    for shopper, item in zip(*queries.relevant, strict=True):
        wanted[shopper].add(item)

    def recall(version: Path) -> float:
        embed = tf.saved_model.load(str(version)).signatures["embed_query"]
        names = embed.structured_input_signature[1]
        inputs = {name: tf.constant(v) for name, v in queries.inputs(list(names)).items()}
        scores = embed(**inputs)["embedding"].numpy() @ items.T
        shares = [
            len(set(np.argsort(-row)[:5]) & mine) / len(mine)
            for row, mine in zip(scores, wanted, strict=True)
            if mine
        ]
        return float(np.mean(shares))

    found = made.bundle.manifest.summary["metric_change"]["all"]["recall@5"]

    assert found["trained"] == pytest.approx(recall(made.trained.saved_model))
    assert found["quantised"] == pytest.approx(recall(made.bundle.version))
    assert found["difference"] == pytest.approx(found["quantised"] - found["trained"])
    assert found["low"] <= found["difference"] <= found["high"]


def test_bundle_is_near_the_trained_model_and_verified_as_such(made: Made) -> None:
    (checked,) = made.bundle.manifest.summary["verified"].values()

    differences = {one["signature"]: one["difference"] for one in checked}
    # More than a bundle of float32 may differ.
    assert 1e-4 < differences["embed_query"] < 0.05
    assert 1e-4 < differences["embed_item"] < 0.05
    assert not any(one["fault"] for one in checked)


def test_too_large_a_difference_names_the_precision(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(export_stage.TOLERANCES, "int8", 1e-4)
    version = shutil.copytree(made.bundle.version, tmp_path / "1")
    stored = list(stored_requests(version / VERIFICATION_FILE))

    with pytest.raises(UserError, match=r"differs the most.*; or its weights need more than int8"):
        export_stage._verified(version, serving("int8"), stored)


def test_change_is_printed(made: Made, capsys: pytest.CaptureFixture) -> None:
    config = SimpleNamespace(serving=serving("int8"))

    reporter.show_change(SimpleNamespace(bundle=made.bundle, config=config))

    printed = capsys.readouterr().out
    sizes = made.bundle.manifest.summary["model_bytes"]
    assert "recall@5" in printed
    assert f"{sizes['quantised'] / 1e6:.1f} MB in int8" in printed


def test_model_in_closed_form_is_refused(made: Made, tmp_path: Path) -> None:
    fitted = TrainedModel(
        produce("train", {"model": {}}, {"template": "1"}, tmp_path / "fitted", lambda _: {}).path
    )

    with pytest.raises(UserError, match=r"serving\.precision: int8, but .* in closed form"):
        save_quantised(fitted, made.prepared, "int8", tmp_path / "saved")


def test_template_that_was_edited_since_is_refused(made: Made, tmp_path: Path) -> None:
    edited = TrainedModel(tmp_path / "train")
    shutil.copytree(made.trained.path, edited.path)
    manifest = edited.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace(source_digest(TwoTower), "another"))

    with pytest.raises(UserError, match=r"source of tfrec\.models\.TwoTower was changed since"):
        save_quantised(edited, made.prepared, "int8", tmp_path / "saved")
