"""The report of an evaluation, made by its stage, in a real browser."""

import re
import shutil
from html import unescape
from pathlib import Path

import pytest
from browser import check_plots, measure_page, needs_browser

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.prepared import PreparedData
from tfrec.evaluation.config import EvaluationConfig
from tfrec.features import FeatureSpec
from tfrec.models.template import ModelConfig
from tfrec.retrieval.config import IndexConfig
from tfrec.stages.artifact import Artifact
from tfrec.stages.evaluate import EvaluationArtifact, evaluate
from tfrec.stages.index import index
from tfrec.stages.train import train
from tfrec.training.config import TrainingConfig

BASELINES = ["popularity", "own_history", "item_knn"]


@pytest.fixture(scope="module")
def made(
    prepared: PreparedData, spec: FeatureSpec, tmp_path_factory: pytest.TempPathFactory
) -> EvaluationArtifact:
    folder, artifact = tmp_path_factory.mktemp("evaluated"), Artifact(prepared.path)
    model = ModelConfig.model_validate({"template": "tfrec.models.EASE", "l2": 50.0})
    trained = train(TrainingConfig(), model, spec, artifact, folder / "train")
    indexed = index(IndexConfig(), artifact, trained, folder / "index")
    protocol = {"k": [5, 20], "resamples": 100, "baselines": BASELINES, "slices": ["channel"]}
    section = validate(EvaluationConfig, protocol, "evaluation")
    return evaluate(section, artifact, trained, indexed, folder / "evaluate")


def test_page_is_beside_the_manifest_and_has_its_figures(
    made: EvaluationArtifact, prepared: PreparedData
) -> None:
    text = unescape(re.sub(r"<[^>]+>", " ", made.report.read_text()))

    for slices in made.manifest.summary["metrics"].values():
        for metrics in slices.values():
            shown = [value for name, value in metrics.items() if name == "recall@5"]
            assert all(value is None or f"{value:.4f}" in text for value in shown)
    names = [name for name in Catalogue(prepared.catalogue).names if name in text]
    assert len(names) > 10
    assert "tfrec.models.EASE beside 3 baselines, on the test window" in text
    assert f"fitted on {prepared.item_counts('train').sum():,} events" in " ".join(text.split())


@needs_browser
@pytest.mark.parametrize("width", [1200, 500])
def test_page_shows_every_plot_without_an_error(
    width: int, made: EvaluationArtifact, tmp_path: Path
) -> None:
    page = Path(shutil.copy(made.report, tmp_path))

    measured = measure_page(page, width, tmp_path / "profile")

    assert len(measured["plots"]) == 2 * 3 + 2
    check_plots(measured)
    assert measured["overflow"] <= 0
