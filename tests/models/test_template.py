import sys
from pathlib import Path
from typing import Any

import pytest

from tfrec.errors import UserError
from tfrec.models import TwoTower
from tfrec.models.template import ModelConfig, load_template, reference, source_digest

SOURCE = """
from pydantic import Field

import tfrec

class Own(tfrec.models.TwoTower):
    class Settings(tfrec.models.TwoTower.Settings):
        depth: int = Field(default=2, gt=0)

class Unrelated:
    pass
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that defines a template."""
    path = tmp_path / "own_templates.py"
    path.write_text(SOURCE)
    return path


def refusal(template: str, **settings: Any) -> str:
    with pytest.raises(UserError) as caught:
        load_template(ModelConfig(template=template, **settings))
    return str(caught.value)


def test_template_is_found_by_its_dotted_name_with_its_settings() -> None:
    config = ModelConfig(template="tfrec.models.TwoTower", embedding_dim=16)

    template, settings = load_template(config)

    assert template is TwoTower
    assert settings.embedding_dim == 16
    assert settings.temperature == TwoTower.Settings().temperature


def test_two_tower_is_the_template_of_an_empty_section() -> None:
    assert load_template(ModelConfig())[0] is TwoTower


def test_template_is_found_in_a_file_by_its_path(file: Path) -> None:
    template, settings = load_template(ModelConfig(template=f"{file}:Own", depth=3))

    assert template.__name__ == "Own"
    assert issubclass(template, TwoTower)
    assert settings.depth == 3


def test_template_is_found_in_a_module_of_the_working_directory(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])

    template, _ = load_template(ModelConfig(template="own_templates.Own"))

    assert template.__name__ == "Own"
    assert load_template(ModelConfig(template=reference(template)))[0] is template


def test_unknown_module_is_refused() -> None:
    assert refusal("no.such.Model").startswith(
        "model.template: 'no.such.Model': cannot be imported: No module named 'no'"
    )


def test_name_without_a_module_is_refused() -> None:
    assert refusal("TwoTower").startswith("model.template: 'TwoTower': cannot be imported: ")


@pytest.mark.parametrize("template", [".models.TwoTower", "..TwoTower"])
def test_relative_module_is_refused(template: str) -> None:
    assert refusal(template).startswith(f"model.template: {template!r}: cannot be imported: ")


def test_file_with_a_syntax_error_is_refused(file: Path) -> None:
    file.write_text(SOURCE + "class Own(:\n")

    assert refusal(f"{file}:Own").startswith(
        f"model.template: '{file}:Own': cannot be imported: invalid syntax"
    )


def test_missing_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be imported: " in refusal(f"{tmp_path}/nowhere.py:Own")


@pytest.mark.parametrize("name", ["Missing", "Unrelated", "tfrec"])
def test_what_is_no_template_is_refused_with_what_to_name(file: Path, name: str) -> None:
    assert refusal(f"{file}:{name}") == (
        f"model.template: '{file}:{name}' is no template; name a subclass of tfrec.models.Template"
    )


def test_unknown_setting_is_refused_with_the_known_ones_of_the_template(file: Path) -> None:
    message = refusal(f"{file}:Own", dept=3)

    assert message == (
        "model.dept: unknown key; known here: embedding_dim, uniform_negatives, hard_negatives, "
        "item_frequency, temperature, depth"
    )


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"embedding_dim": "wide"}])
def test_wrong_setting_is_named(settings: dict[str, Any]) -> None:
    (name,) = settings

    assert refusal("tfrec.models.TwoTower", **settings).startswith(f"model.{name}: ")


def test_edited_template_is_another_one(file: Path) -> None:
    template, _ = load_template(ModelConfig(template=f"{file}:Own"))
    before = source_digest(template)
    assert source_digest(template) == before

    file.write_text(SOURCE + "# edited\n")

    assert source_digest(template) != before


def test_class_of_a_file_has_a_reference_that_loads_again(file: Path) -> None:
    template, _ = load_template(ModelConfig(template=f"{file}:Own"))

    again, settings = load_template(ModelConfig(template=reference(template), depth=4))

    assert reference(template) == f"{file}:Own"
    assert again.__name__ == "Own"
    assert issubclass(again, TwoTower)
    assert settings.depth == 4


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    templates = []
    for folder in ("first", "second"):
        path = tmp_path / folder / "own.py"
        path.parent.mkdir()
        path.write_text(SOURCE)
        templates.append(load_template(ModelConfig(template=f"{path}:Own"))[0])

    references = [reference(template) for template in templates]

    assert references == [f"{tmp_path / f / 'own.py'}:Own" for f in ("first", "second")]
