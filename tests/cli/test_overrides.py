import pytest
import yaml

from tfrec.cli.overrides import for_beam, parse
from tfrec.errors import UserError


def test_values_follow_their_names_after_a_space_or_an_equals_sign() -> None:
    values = parse(["--training.workers", "4", "--name=shop", "--index.promise.k", "10"])

    assert values == {"training.workers": "4", "name": "shop", "index.promise.k": "10"}


def test_value_may_hold_equals_signs_and_dashes_or_be_empty() -> None:
    values = parse(["--a=b=c", "--offset", "-3", "--note=", "--flag", "--x"])

    assert values == {"a": "b=c", "offset": "-3", "note": "", "flag": "--x"}


def test_last_of_repeated_names_counts() -> None:
    assert parse(["--a", "1", "--a=2"]) == {"a": "2"}


def test_nothing_is_nothing() -> None:
    assert parse([]) == {}


@pytest.mark.parametrize("arguments", [["workers", "4"], ["--a", "1", "2"], ["-k", "3"]])
def test_argument_that_is_no_option_is_refused(arguments: list[str]) -> None:
    with pytest.raises(UserError, match=r"'(workers|2|-k)': not expected; give values as --name"):
        parse(arguments)


def test_option_without_a_value_is_refused() -> None:
    with pytest.raises(UserError, match=r"--training\.workers: lacks a value"):
        parse(["--name", "shop", "--training.workers"])


def test_names_without_a_dot_are_options_of_beam_but_for_the_configs_own() -> None:
    values = {"name": "shop", "data.seed": "1", "runner": "FlinkRunner", "parallelism": "3"}

    assert {name: yaml.safe_load(value) for name, value in for_beam(values, {"name"}).items()} == {
        "name": "shop",
        "data.seed": 1,
        "data.beam.runner": "FlinkRunner",
        "data.beam.parallelism": "3",
    }


@pytest.mark.parametrize(
    ("written", "meant"),
    [("[local]", "[local]"), ("1.20", "1.20"), ('say "hi"', 'say "hi"'), ("true", True)],
)
def test_options_of_beam_are_taken_as_written(written: str, meant: object) -> None:
    (value,) = for_beam({"option": written}, ()).values()

    assert yaml.safe_load(value) == meant
