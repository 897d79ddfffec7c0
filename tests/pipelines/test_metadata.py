from pathlib import Path

import pytest
from recorded_runs import FIRST, SECOND, THIRD, Part, RecordedRuns, State, shop_run

from tfrec.errors import UserError
from tfrec.pipelines.metadata import PipelineMetadata


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> RecordedRuns:
    runs = RecordedRuns(tmp_path_factory.mktemp("pipeline"))
    runs.add("shop", FIRST, shop_run("100"))
    runs.add("shop", SECOND, shop_run("200", cached=True))
    runs.add("other", THIRD, [Part("Trainer", state=State.FAILED)])
    return runs


def test_runs_of_one_pipeline_come_newest_first(recorded: RecordedRuns) -> None:
    second, first = PipelineMetadata(recorded.file, "shop").runs

    assert (second.id, first.id) == (SECOND, FIRST)
    assert [one.name for one in first.components] == [
        "EventsExampleGen", "Transform", "ExampleWriter", "Trainer", "ModelEvaluator",
        "BundleExporter", "Pusher",
    ]  # fmt: skip
    assert [one.state for one in second.components] == ["cached"] * 3 + ["complete"] * 4
    assert first.seconds >= 0
    assert first.began == first.components[0].began


def test_artefacts_have_the_names_their_component_gives_them(recorded: RecordedRuns) -> None:
    run = PipelineMetadata(recorded.file, "shop").run(FIRST)

    blessing, evaluation = run.components[4].outputs
    assert (blessing.name, evaluation.name) == ("blessing", "evaluation")
    assert blessing.kind == "ModelBlessing"
    assert blessing.properties == {"blessed": 1, "because": "all 2 rules hold"}
    assert evaluation.uri == str(recorded.path("shop", FIRST, "ModelEvaluator.evaluation"))


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([State.CACHED, State.COMPLETE], "complete"),
        ([State.CACHED, State.CACHED], "cached"),
        ([State.COMPLETE, State.RUNNING], "running"),
        ([State.COMPLETE, State.FAILED], "failed"),
        ([State.RUNNING, State.CANCELED], "failed"),
    ],
)
def test_a_run_is_as_its_worst_component(states: list[int], expected: str, tmp_path: Path) -> None:
    runs = RecordedRuns(tmp_path)
    runs.add("shop", FIRST, [Part(f"Part{n}", state=state) for n, state in enumerate(states)])

    assert PipelineMetadata(runs.file, "shop").runs[0].state == expected


def test_what_a_cache_gave_was_made_by_the_run_before(recorded: RecordedRuns) -> None:
    metadata = PipelineMetadata(recorded.file, "shop")

    prepared = metadata.run(SECOND).components[2].outputs[0]
    assert metadata.makers[prepared.id].run == FIRST


def test_a_run_is_found_by_the_beginning_of_its_id(recorded: RecordedRuns) -> None:
    metadata = PipelineMetadata(recorded.file, "shop")

    assert metadata.run().id == SECOND
    assert metadata.run("2026-11-22T01").id == FIRST
    with pytest.raises(UserError, match="2026: 2 runs begin so; the last ones are 2026-11-22T02"):
        metadata.run("2026")
    with pytest.raises(UserError, match="x: no run begins so"):
        metadata.run("x")


def test_a_pipeline_that_never_ran_is_an_error(recorded: RecordedRuns, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="knows no run of nobody; `tfrec pipeline run"):
        PipelineMetadata(recorded.file, "nobody")
    with pytest.raises(UserError, match=r"none\.sqlite: knows no run of shop"):
        PipelineMetadata(tmp_path / "none.sqlite", "shop")
    assert not (tmp_path / "none.sqlite").exists()
