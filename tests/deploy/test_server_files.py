import shutil
from pathlib import Path

import httpx
import numpy as np
import pytest

from tfrec.deploy.server_files import write_server_files
from tfrec.errors import UserError
from tfrec.serving import Client, ModelServer, ServingError
from tfrec.serving.batching import read_batching_parameters
from tfrec.serving.model_config import All, Latest
from tfrec.serving.monitoring import read_monitoring_config
from tfrec.stages import export
from tfrec.stages.artifact import Manifest


def test_server_started_with_the_files_serves_batches_labels_and_metrics(version, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(version.parent, models / "shop")
    shutil.copytree(version, models / "shop" / "4")

    out = tmp_path / "deploy"
    made = write_server_files(
        [[models / "shop" / "4"]], out, "tensorflow_serving", models, All(), {"stable": 3}, 8
    )

    assert made.command == (
        f"tensorflow_model_server --model_config_file={out}/models.config"
        f" --monitoring_config_file={out}/monitoring.config --rest_api_port=8501"
        " --allow_version_labels_for_unavailable_models"
        f" --enable_batching --batching_parameters_file={out}/batching.config"
    )
    with (
        ModelServer(
            {},
            model_config_file=out / "models.config",
            batching=read_batching_parameters(out / "batching.config"),
            monitoring_path=read_monitoring_config(out / "monitoring.config"),
            allow_version_labels_for_unavailable_models=True,
            port=0,
            rest_api_port=0,
        ) as server,
        Client(f"grpc://127.0.0.1:{server.port}") as client,
    ):
        assert {status.version for status in client.status("shop")} == {3, 4}
        np.testing.assert_allclose(client.predict("shop", {"x": [3.0, 5.0]})["y"], [1.5, 2.5])
        with pytest.raises(ServingError, match="at least one dimension"):
            client.predict("shop", {"x": [3.0], "k": 2}, signature="top")
        rest = f"http://127.0.0.1:{server.rest_api_port}"
        answer = httpx.post(f"{rest}/v1/models/shop/labels/stable:predict", json={"instances": [3]})
        assert answer.json() == {"predictions": [1.5]}
        metrics = httpx.get(f"{rest}/monitoring/prometheus/metrics").text
        assert ":tensorflow:serving:batching_session:processed_batch_size" in metrics


def test_several_bundles_make_a_server_of_several_models(version, tmp_path):
    other = shutil.copytree(version, tmp_path / "news" / "1")

    made = write_server_files(
        [[version], [other]], tmp_path / "out", "tfrec", Path("/models"), Latest(), {}
    )

    assert [str(model.base_path) for model in made.models] == ["/models/shop", "/models/news"]
    assert made.versions == [version, other]
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "models.config", "monitoring.config",
    }  # fmt: skip


def test_labels_for_several_bundles_are_refused(version, tmp_path):
    with pytest.raises(UserError, match="label: is of one model"):
        write_server_files([[version]] * 2, tmp_path, "tfrec", Path("/m"), Latest(), {"stable": 3})


@pytest.fixture
def artefact(version: Path, tmp_path: Path) -> Path:
    """The export stage's, of a bundle with a twin."""
    path = tmp_path / "export"
    for place in (path, path / "twin"):
        shutil.copytree(version, place / "shop" / "3")
    manifest = Manifest(
        stage="export", id="1", digest="2", config={}, inputs={}, versions={}, seconds=0,
        peak_memory_bytes=0, summary={"name": "shop", "version": 3},
    )  # fmt: skip
    (path / "manifest.json").write_text(manifest.model_dump_json())
    return path


def test_artefact_stands_for_its_version(artefact, tmp_path):
    bundle = export.find_versions(artefact)

    made = write_server_files([bundle], tmp_path / "out", "tfrec", Path("/m"), Latest(), {})

    assert made.versions == [artefact / "shop" / "3"]
    assert export.find_versions(made.versions[0]) == made.versions


def test_nothing_is_written_for_a_server_that_lacks_operations(artefact, tmp_path, monkeypatch):
    scann = artefact / "shop" / "3"
    monkeypatch.setattr(
        "tfrec.deploy.served_version.foreign_ops",
        lambda path: ["Scann>Search"] if path == scann else [],
    )
    twin = export.ServingBundle(artefact).twin
    out, rest = tmp_path / "out", ("tensorflow_serving", Path("/m"), Latest(), {})

    with pytest.raises(UserError, match=f"render its twin, {twin}"):
        write_server_files([export.find_versions(artefact)], out, *rest)

    assert not out.exists()
    assert write_server_files([export.find_versions(twin)], out, *rest).versions == [twin]
