from pathlib import Path

from tfrec.stages.artifact import produce
from tfrec.stages.export import ServingBundle
from tfrec.stages.push import push
from tfrec.stages.served_figures import newest_figures

FIGURES = {"all": {"recall@10": 0.25, "ndcg@10": None}}


def make_bundle(folder: Path, version: int, trained: str = "a") -> ServingBundle:
    def make(directory: Path) -> dict[str, object]:
        (directory / "films" / str(version)).mkdir(parents=True)
        return {"name": "films", "version": version}

    made_of = {"train": trained}
    made = produce("export", {"version": version}, made_of, folder / "export", make)
    return ServingBundle(made.path)


def test_figures_are_pushed_with_their_version(tmp_path: Path) -> None:
    push(make_bundle(tmp_path, 3), tmp_path / "serving", figures=FIGURES)

    assert newest_figures(tmp_path / "serving" / "films") == FIGURES


def test_those_of_the_newest_version_that_has_some_are_read(tmp_path: Path) -> None:
    root = tmp_path / "serving"
    for version, recall in ((9, 0.1), (10, 0.2)):
        push(make_bundle(tmp_path, version), root, figures={"all": {"recall@10": recall}})
    push(make_bundle(tmp_path, 11), root)

    assert newest_figures(root / "films") == {"all": {"recall@10": 0.2}}


def test_versions_of_the_model_that_is_judged_are_passed_over(tmp_path: Path) -> None:
    root = tmp_path / "serving"
    for version, trained in ((1, "a"), (2, "b"), (3, "c"), (4, "c")):
        figures = {"all": {"recall@10": version / 10}}
        push(make_bundle(tmp_path, version, trained), root, figures=figures)

    assert newest_figures(root / "films", "c") == {"all": {"recall@10": 0.2}}
    assert newest_figures(root / "films", "d") == {"all": {"recall@10": 0.4}}


def test_before_the_first_version_there_are_none(tmp_path: Path) -> None:
    assert newest_figures(tmp_path / "serving" / "films") is None
