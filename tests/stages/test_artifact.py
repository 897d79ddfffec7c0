import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfrec.errors import UserError
from tfrec.stages.artifact import Artifact, is_made, made_of, produce, unfinished

Make = Callable[[Path], dict[str, Any]]


class Baker:
    """Fills directories, and remembers each one."""

    def __init__(self) -> None:
        self.directories: list[Path] = []

    def __call__(self, directory: Path) -> dict[str, Any]:
        self.directories.append(directory)
        (directory / "loaf").write_text(f"number {len(self.directories)}")
        return {"loaves": len(self.directories)}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "bake"


def bake(
    target: Path,
    make: Make,
    config: dict[str, Any] | None = None,
    inputs: dict[str, str] | None = None,
    resumable: bool = False,
) -> Artifact:
    return produce(
        "bake", config or {"degrees": 200}, inputs or {"flour": "1"}, target, make, resumable
    )


def break_off(directory: Path) -> dict[str, Any]:
    (directory / "dough").write_text("half done")
    raise RuntimeError("the oven broke")


def resume(directory: Path) -> dict[str, Any]:
    return {"found": (directory / "dough").read_text()}


def test_artifact_appears_whole_or_not_at_all(target: Path) -> None:
    def make(directory: Path) -> dict[str, Any]:
        (directory / "loaf").write_text("half")
        assert not target.exists()
        (directory / "loaf").write_text("whole")
        return {}

    artifact = bake(target, make)

    assert artifact.path == target
    assert (target / "loaf").read_text() == "whole"
    assert [path.name for path in target.parent.iterdir()] == ["bake"]


def test_failure_leaves_no_artifact(target: Path) -> None:
    with pytest.raises(RuntimeError, match="the oven broke"):
        bake(target, break_off)

    assert not target.exists()


def test_failure_leaves_the_old_artifact(target: Path) -> None:
    bake(target, Baker())

    with pytest.raises(RuntimeError):
        bake(target, break_off, config={"degrees": 220})

    assert (target / "loaf").read_text() == "number 1"
    assert Artifact(target).manifest.config == {"degrees": 200}


def test_manifest_says_what_the_artifact_came_from(target: Path) -> None:
    config = {"degrees": 200, "tins": [1, 2], "recipe": Path("rye.txt")}

    manifest = bake(target, Baker(), config=config, inputs={"flour": "abc"}).manifest

    assert manifest.stage == "bake"
    assert manifest.config == {"degrees": 200, "tins": [1, 2], "recipe": "rye.txt"}
    assert manifest.inputs == {"flour": "abc"}
    assert manifest.summary == {"loaves": 1}
    assert {"tfrec", "tensorflow", "apache-beam"} <= set(manifest.versions)
    assert manifest.seconds >= 0
    assert manifest.peak_memory_bytes > 1e6
    assert json.loads((target / "manifest.json").read_text())["digest"] == manifest.digest


def test_unchanged_artifact_is_not_made_again(target: Path) -> None:
    baker = Baker()
    first = bake(target, baker, config={"degrees": 200, "tins": 2}).manifest

    again = bake(target, baker, config={"tins": 2, "degrees": 200}).manifest

    assert len(baker.directories) == 1
    assert again == first


@pytest.mark.parametrize(
    "change", [{"config": {"degrees": 201}}, {"inputs": {"flour": "2"}}], ids=["config", "input"]
)
def test_changed_config_or_input_makes_it_anew(target: Path, change: dict[str, Any]) -> None:
    baker = Baker()
    before = bake(target, baker).manifest.digest

    after = bake(target, baker, **change).manifest

    assert after.digest != before
    assert after.summary == {"loaves": 2}
    assert (target / "loaf").read_text() == "number 2"
    assert [path.name for path in target.parent.iterdir()] == ["bake"]


def test_artifact_that_was_deleted_is_made_again(target: Path) -> None:
    baker = Baker()
    bake(target, baker)
    (target / "manifest.json").unlink()

    bake(target, baker)

    assert len(baker.directories) == 2
    assert Artifact(target).manifest.summary == {"loaves": 2}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"stage": "bake"}'])
def test_manifest_that_cannot_be_read_is_refused_and_made_anew(target: Path, content: str) -> None:
    baker = Baker()
    bake(target, baker)
    (target / "manifest.json").write_text(content)

    with pytest.raises(UserError, match=r"manifest\.json: not as this version of tfrec writes it"):
        _ = Artifact(target).manifest
    assert bake(target, baker).manifest.summary == {"loaves": 2}


@pytest.mark.parametrize("change", [{"id": None}, {"mood": "good"}], ids=["less", "more"])
def test_manifest_of_another_version_is_made_anew_though_its_digest_is_the_same(
    target: Path, change: dict[str, Any]
) -> None:
    baker = Baker()
    bake(target, baker)
    content = json.loads((target / "manifest.json").read_text()) | change
    (target / "manifest.json").write_text(json.dumps(content))

    manifest = bake(target, baker).manifest

    assert manifest.digest == content["digest"]
    assert manifest.summary == {"loaves": 2}


def test_what_a_sibling_left_half_done_is_left_alone(target: Path) -> None:
    sibling = target.with_name("bake-v2")
    with pytest.raises(RuntimeError):
        bake(sibling, break_off, resumable=True)

    bake(target, Baker())

    assert bake(sibling, resume, resumable=True).manifest.summary == {"found": "half done"}


def test_each_making_has_an_id_of_its_own(target: Path) -> None:
    first = bake(target, Baker()).manifest
    (target / "manifest.json").unlink()

    second = bake(target, Baker()).manifest

    assert second.digest == first.digest
    assert second.id != first.id


def test_made_anew_starts_from_an_empty_directory(target: Path) -> None:
    with pytest.raises(RuntimeError):
        bake(target, break_off)

    bake(target, Baker())

    assert not (target / "dough").exists()


def test_resumable_making_finds_what_it_left(target: Path) -> None:
    with pytest.raises(RuntimeError):
        bake(target, break_off, resumable=True)

    assert bake(target, resume, resumable=True).manifest.summary == {"found": "half done"}


def test_resumable_making_of_something_else_starts_anew(target: Path) -> None:
    with pytest.raises(RuntimeError):
        bake(target, break_off, resumable=True)

    bake(target, Baker(), config={"degrees": 220}, resumable=True)

    assert not (target / "dough").exists()
    assert [path.name for path in target.parent.iterdir()] == ["bake"]


def test_resumable_making_finds_what_it_left_though_its_target_is_another(tmp_path: Path) -> None:
    def bake_on(target: str, make: Make, flour: str = "1") -> Artifact:
        work = tmp_path / "work"
        return produce("bake", {}, {"flour": flour}, tmp_path / target, make, True, work=work)

    for flour in ("1", "2"):
        with pytest.raises(RuntimeError):
            bake_on("1", break_off, flour)
    assert bake_on("2", resume, "2").manifest.summary == {"found": "half done"}

    assert [path.name for path in tmp_path.iterdir()] == ["2"]


def test_missing_artifact_names_the_command_that_makes_it(target: Path) -> None:
    with pytest.raises(UserError) as caught:
        _ = Artifact(target).manifest

    assert str(caught.value) == (
        f"{target}: not there yet; run `tfrec bake CONFIG` first, "
        "or `tfrec run CONFIG` for all stages"
    )


def test_resuming_needs_something_of_the_same_inputs_to_go_on_with(target: Path) -> None:
    def bake_on(flour: str) -> Artifact:
        return produce("bake", {}, {"flour": flour}, target, resume, True, resume=True)

    with pytest.raises(UserError, match=r"bake: nothing of this config .* leave out --resume"):
        bake_on("1")
    with pytest.raises(RuntimeError):
        produce("bake", {}, {"flour": "1"}, target, break_off, True)
    with pytest.raises(UserError, match=r"nothing of this config"):
        bake_on("2")

    assert bake_on("1").manifest.summary == {"found": "half done"}
    assert bake_on("1").path == target


def test_it_can_be_told_where_an_artefact_is_made_and_whether_it_is(target: Path) -> None:
    same = ("bake", {"degrees": 200}, {"flour": "1"}, target)
    made_in: list[Path] = []
    before = is_made(*same)

    bake(target, lambda directory: made_in.append(directory) or {})

    assert (before, is_made(*same)) == (False, True)
    assert made_in == [unfinished(*same)]
    assert not is_made("bake", {"degrees": 220}, {"flour": "1"}, target)


def test_what_became_of_an_unfinished_directory_is_found_under_its_number(target: Path) -> None:
    work = target.with_name("unfinished")
    identity = ("bake", {"degrees": 200}, {"flour": "1"})
    partial = unfinished(*identity, work)
    with pytest.raises(RuntimeError):
        produce(*identity, target, break_off, resumable=True, work=work)
    assert made_of(partial) is None

    produce("bake", {"degrees": 180}, {"flour": "1"}, target.with_name("5"), lambda _: {})
    produce(*identity, target.with_name("6"), resume, resumable=True, work=work)

    assert made_of(partial) == target.with_name("6")
