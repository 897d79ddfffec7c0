from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import pydantic
import pytest

from tfrec.config import Duration, Section, override, read_yaml, validate
from tfrec.errors import UserError


class Oven(Section):
    degrees: int = pydantic.Field(gt=0)
    preheat: Duration | None = None


class Kitchen(Section):
    name: str
    oven: Oven


def refusal(content: object, where: str = "") -> str:
    with pytest.raises(UserError) as caught:
        validate(Kitchen, content, where)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("30s", 30), ("90m", 5400), ("36h", 129_600), ("14d", 1_209_600), ("2w", 1_209_600), (45, 45)],
)
def test_duration_is_a_number_and_a_unit(written: object, seconds: int) -> None:
    assert validate(Oven, {"degrees": 1, "preheat": written}).preheat == seconds


@pytest.mark.parametrize("written", ["2 days", "14", "1.5d", "-3d", "d", "", 1.5, True, ["14d"]])
def test_what_is_no_duration_is_refused_with_an_example(written: object) -> None:
    message = refusal({"name": "k", "oven": {"degrees": 1, "preheat": written}})

    assert message.startswith(f"oven.preheat: {written!r}: not a duration")
    assert "e.g. 14d" in message


def test_duration_of_nothing_is_refused() -> None:
    assert "oven.preheat: '0d'" in refusal({"name": "k", "oven": {"degrees": 1, "preheat": "0d"}})


def test_wrong_value_is_named_with_its_field_and_what_is_expected() -> None:
    message = refusal({"name": "k", "oven": {"degrees": -3}}, where="kitchen")

    assert message == "kitchen.oven.degrees: -3: Input should be greater than 0"


def test_unknown_key_lists_the_known_ones_of_its_section() -> None:
    message = refusal({"name": "k", "oven": {"degrees": 1, "degree": 2}})

    assert message == "oven.degree: unknown key; known here: degrees, preheat"


class Gas(Section):
    kind: Literal["gas"]
    flames: int


class Electric(Section):
    kind: Literal["electric"]
    watts: int


class Cellar(Section):
    root: str = "/"


Stove = Annotated[Gas | Electric, pydantic.Field(discriminator="kind")]


class Restaurant(Section):
    stoves: Mapping[str, Stove] = {}
    spare: tuple[Stove, ...] = ()
    oven: Oven | None = None
    cellar: Cellar = Cellar()
    kitchen: Kitchen | None = None
    source: str | tuple[str, ...] = "here"


def restaurant_refusal(**content: object) -> str:
    with pytest.raises(UserError) as caught:
        validate(Restaurant, content)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "name", "known"),
    [
        ({"oven": {"degrees": 1, "degree": 2}}, "oven.degree", "degrees, preheat"),
        (
            {"stoves": {"big": {"kind": "gas", "flames": 2, "watts": 5}}},
            "stoves.big.watts",
            "kind, flames",
        ),
        ({"spare": [{"kind": "electric", "watts": 2, "x": 5}]}, "spare.0.x", "kind, watts"),
        (
            {"kitchen": {"name": "k", "oven": {"degrees": 1, "degree": 2}}},
            "kitchen.oven.degree",
            "degrees, preheat",
        ),
        ({"cellar": {"roots": "/"}}, "cellar.roots", "root"),
        ({"fridge": 1}, "fridge", "stoves, spare, oven, cellar, kitchen, source"),
    ],
)
def test_unknown_key_of_an_optional_or_chosen_section_lists_the_known_ones(
    content: dict[str, object], name: str, known: str
) -> None:
    assert restaurant_refusal(**content) == f"{name}: unknown key; known here: {known}"


@pytest.mark.parametrize(
    ("stove", "problem"),
    [({"kind": "coal"}, "'coal': unknown"), ({"flames": 2}, "missing")],
)
def test_choice_of_no_known_kind_lists_the_known_ones(
    stove: dict[str, object], problem: str
) -> None:
    assert restaurant_refusal(stoves={"big": stove}) == (
        f"stoves.big.kind: {problem}; known: gas, electric"
    )


def test_names_in_messages_are_only_those_that_were_written() -> None:
    message = restaurant_refusal(
        stoves={"gas": {"kind": "gas", "flames": "two"}, "big": {"kind": "gas"}}, source=5
    )

    assert [line.split(": ")[0] for line in message.splitlines()] == [
        "stoves.gas.flames",
        "stoves.big.flames",
        *["source"] * 2,  # neither text nor a list of it
    ]


def test_missing_key_is_named() -> None:
    assert refusal({"name": "k", "oven": {}}) == "oven.degrees: missing; add it to the config"


def test_every_wrong_field_gets_a_line() -> None:
    lines = refusal({"oven": {"degrees": 0}, "fridge": 1}).splitlines()

    assert [line.split(":")[0] for line in lines] == ["name", "oven.degrees", "fridge"]


def test_message_does_not_print_whole_sections() -> None:
    assert refusal({"name": {"first": "x"}, "oven": {"degrees": 1}}).count("first") == 0


def test_section_is_frozen() -> None:
    kitchen = validate(Kitchen, {"name": "k", "oven": {"degrees": 1}})

    with pytest.raises(pydantic.ValidationError):
        kitchen.oven.degrees = 2


def test_yaml_file_is_read_as_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("name: Bäckerei\noven: {degrees: 200}\n", encoding="utf-8")

    assert read_yaml(path) == {"name": "Bäckerei", "oven": {"degrees": 200}}


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml: No such file.*; give the path"):
        read_yaml(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("content", [b"a: [1", b"a: b: c", b"\xff\xfe\x00a"])
def test_broken_yaml_is_one_line_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)

    with pytest.raises(UserError) as caught:
        read_yaml(path)

    assert str(caught.value).startswith(f"{path}: not valid YAML: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "just text", "- a\n- b\n"])
def test_yaml_that_holds_no_mapping_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "list.yaml"
    path.write_text(content)

    with pytest.raises(UserError, match="holds no mapping"):
        read_yaml(path)


def test_override_sets_values_by_dotted_name_as_yaml_reads_them() -> None:
    content = {"oven": {"degrees": 1, "fans": {"left": 1}}, "name": "k"}

    changed = override(
        content, {"oven.degrees": "220", "oven.fans.right": "[1, 2]", "lamp.on": "true"}
    )

    assert changed == {
        "oven": {"degrees": 220, "fans": {"left": 1, "right": [1, 2]}},
        "name": "k",
        "lamp": {"on": True},
    }


def test_override_leaves_the_original_alone() -> None:
    content = {"oven": {"fans": {"left": 1}}}

    override(content, {"oven.fans.left": "2"})

    assert content == {"oven": {"fans": {"left": 1}}}


def test_override_through_a_single_value_is_refused() -> None:
    with pytest.raises(UserError, match=r"name\.first: name is a single value"):
        override({"name": "k"}, {"name.first": "x"})


@pytest.mark.parametrize("value", ["[1, 2", "a: b: c", '"open', "{x"])
def test_override_with_broken_yaml_names_field_and_value(value: str) -> None:
    with pytest.raises(UserError) as caught:
        override({"oven": {"degrees": 1}}, {"oven.degrees": value})

    assert str(caught.value) == (
        f"oven.degrees: {value!r}: not valid YAML; mind brackets and quotes"
    )
