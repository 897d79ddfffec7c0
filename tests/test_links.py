from pathlib import Path

import pytest

from tfrec.links import link


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("new")
    target.write_text("what was there")
    return source, target


def test_both_names_are_of_one_file(files: tuple[Path, Path]) -> None:
    source, target = files

    link(str(source), target)

    assert target.samefile(source)


def test_a_file_is_copied_where_files_cannot_be_linked(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    source, target = files

    link(source, str(target))

    assert target.read_text() == "new"
    assert not target.samefile(source)
