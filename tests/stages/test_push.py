from pathlib import Path
from typing import Any

import pytest
import yaml
from shop import Shop

from tfrec.evaluation.blessing import NotBlessedError, Verdict
from tfrec.stages import experiment as stages
from tfrec.stages.artifact import produce
from tfrec.stages.experiment import Experiment
from tfrec.stages.served_figures import newest_figures

FIGURES = {"all": {"recall@5": 0.25}}


def load(shop: Shop, folder: Path, **sections: Any) -> Experiment:
    config = {**shop.config(serving={"root": str(folder / "serving")}, **sections)}
    file = folder / "shop.yaml"
    file.write_text(yaml.safe_dump({**config, "runs": str(folder / "runs")}))
    return Experiment.load(file)


def measure(experiment: Experiment, index: str, blessed: bool = True) -> None:
    verdict = Verdict(blessed=blessed, because="recall@5 is broken", rules=())
    summary = {"metrics": {"model": FIGURES}, "blessing": verdict.model_dump(mode="json")}
    produce("evaluate", {}, {"index": index}, experiment.evaluation.path, lambda _: summary)


def export(index: str, target: Path) -> None:
    def make(directory: Path) -> dict[str, Any]:
        (directory / "shop" / "7").mkdir(parents=True)
        return {"name": "shop", "version": 7}

    produce("export", {}, {"train": "a", "index": index}, target, make)


def test_a_model_that_is_not_blessed_is_not_pushed_and_the_rule_is_named(
    shop: Shop, tmp_path: Path
) -> None:
    rules = [{"metric": "recall@5", "over": "popularity"}]
    experiment = load(shop, tmp_path, evaluation={"bless": rules})
    measure(experiment, "i", blessed=False)

    with pytest.raises(NotBlessedError, match=r"^push: .* not blessed .*: recall@5 is broken$"):
        experiment.push()


@pytest.mark.parametrize(
    ("measured", "kept"), [("i", FIGURES), ("another index", None), (None, None)]
)
def test_figures_go_with_the_model_that_was_measured(
    shop: Shop, tmp_path: Path, measured: str | None, kept: dict[str, Any] | None
) -> None:
    experiment = load(shop, tmp_path)
    export("i", experiment.bundle.path)
    if measured:
        measure(experiment, measured)

    version = experiment.push()

    assert newest_figures(version.parent) == kept


def test_figures_go_with_a_refreshed_version_of_the_model(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = load(shop, tmp_path)
    index = produce("index", {}, {}, experiment.item_index.path, lambda _: {})
    measure(experiment, index.manifest.id)

    def export_refreshed(*arguments: Any) -> stages.ServingBundle:
        export("refreshed", arguments[4])
        return stages.ServingBundle(arguments[4])

    monkeypatch.setattr(stages, "refresh", lambda *arguments: stages.ItemIndex(arguments[5]))
    monkeypatch.setattr(stages, "export", export_refreshed)

    version = experiment.refresh()

    assert newest_figures(version.parent) == FIGURES
