import json
from pathlib import Path

import pytest
from recorded_runs import FIRST, SECOND, RecordedRuns, shop_run

from tfrec.errors import UserError
from tfrec.pipelines.lineage import Lineage, find_lineage
from tfrec.pipelines.lineage_picture import draw_lineage
from tfrec.pipelines.metadata import PipelineMetadata


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> RecordedRuns:
    """Two runs, of which the second took the data of the first."""
    runs = RecordedRuns(tmp_path_factory.mktemp("pipeline"))
    runs.add("shop", FIRST, shop_run("100"))
    runs.add("shop", SECOND, shop_run("200", cached=True))
    return runs


@pytest.fixture(scope="module")
def metadata(recorded: RecordedRuns) -> PipelineMetadata:
    return PipelineMetadata(recorded.file, "shop")


def _edges(lineage: Lineage) -> dict[str, list[str]]:
    """Name of an artefact -> names of what it was made of."""
    return {
        made.artifact.name: [lineage.made[part].artifact.name for part in made.of]
        for made in lineage.made.values()
    }


def test_a_version_leads_back_to_its_rows(metadata: PipelineMetadata) -> None:
    found = find_lineage(metadata)

    assert (found.version, found.destination) == ("200", "/serving/shop/200")
    assert _edges(found) == {
        "pushed_model": ["bundle"],
        "bundle": ["model"],  # and the prepared data, which the model was made of too
        "model": ["prepared"],
        "prepared": ["graph", "cleaned"],
        "graph": ["examples"],
        "examples": [],
        "cleaned": [],
    }
    assert found.root.artifact.name == "pushed_model"
    assert {made.artifact.name: made.by.run for made in found.made.values()} == {
        **dict.fromkeys(["pushed_model", "bundle", "model"], SECOND),
        **dict.fromkeys(["prepared", "graph", "cleaned", "examples"], FIRST),
    }


def test_an_older_version_is_found_by_its_number(metadata: PipelineMetadata) -> None:
    found = find_lineage(metadata, "100")

    assert found.version == "100"
    assert {made.by.run for made in found.made.values()} == {FIRST}


def test_files_come_with_their_fingerprint(
    recorded: RecordedRuns, metadata: PipelineMetadata
) -> None:
    cleaned = recorded.path("shop", FIRST, "EventsExampleGen.cleaned")

    def sources() -> list[tuple]:
        found = find_lineage(metadata)
        return [
            (one.name, one.where, one.fingerprint[:2], one.rows)
            for made in found.made.values()
            for one in made.sources
        ]

    gone = sources()
    cleaned.mkdir(parents=True)
    manifest = {"summary": {"read": {"events": 1000, "items": 20}}}
    (cleaned / "manifest.json").write_text(json.dumps(manifest))

    events, items = ("days/*.parquet", "more.csv"), ("items.parquet",)
    assert gone == [("events", events, "ee", None), ("items", items, "ff", None)]
    assert sources() == [("events", events, "ee", 1000), ("items", items, "ff", 20)]


def test_a_model_that_learned_on_says_from_which(tmp_path: Path) -> None:
    runs = RecordedRuns(tmp_path)
    runs.add("shop", FIRST, shop_run("100"))
    runs.add("shop", SECOND, shop_run("200", goes_on="/pipeline/Trainer/model/7"))
    metadata = PipelineMetadata(runs.file, "shop")

    def told(version: str) -> dict[str, str]:
        made = find_lineage(metadata, version).made.values()
        return {one.artifact.name: one.learned_on_from for one in made if one.learned_on_from}

    assert told("200") == {"model": "/pipeline/Trainer/model/7"}
    assert told("100") == {}


def test_who_blessed_it_and_why_is_told(metadata: PipelineMetadata) -> None:
    assert find_lineage(metadata).blessings == {"ModelEvaluator": "all 2 rules hold"}


def test_a_version_of_somebody_else_is_an_error(tmp_path: Path) -> None:
    runs = RecordedRuns(tmp_path)
    runs.add("shop", FIRST, shop_run("100"))
    runs.add("young", FIRST, shop_run("100")[:-1])

    with pytest.raises(UserError, match="7: the pipeline has not pushed this version; it pushed 1"):
        find_lineage(PipelineMetadata(runs.file, "shop"), "7")
    with pytest.raises(UserError, match="the pipeline has pushed no version yet"):
        find_lineage(PipelineMetadata(runs.file, "young"))


def test_the_picture_shows_every_artefact_below_what_was_made_of_it(
    metadata: PipelineMetadata,
) -> None:
    figure = draw_lineage(find_lineage(metadata))

    (axes,) = figure.axes
    heights = {
        text.get_text().split("\n")[0].split(",")[0]: text.get_position()[1] for text in axes.texts
    }
    assert heights["pushed_model"] > heights["bundle"] > heights["model"] > heights["prepared"]
    assert heights["prepared"] > heights["graph"] == heights["cleaned"] > heights["events"]
    assert heights["graph"] > heights["examples"]
    assert axes.get_title() == "version 200"
