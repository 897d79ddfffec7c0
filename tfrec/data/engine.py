"""The engine that runs preparation's pipelines, and the options it is given."""

import argparse
import difflib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, model_validator

from tfrec.config import Section

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

IN_MEMORY_RUNNER = "FnApiRunner"
"""The runner that keeps all that it shuffles in this process's memory."""

# Beam's short names, but for the one that Beam 2.59 has no short name for.
_LONG_NAMES = {"FnApiRunner": "apache_beam.runners.portability.fn_api_runner.fn_runner.FnApiRunner"}


class BeamConfig(Section):
    """The `data.beam` section: which of Beam's runners, and any option of Beam by Beam's own name.

    A list gives an option several times; `true` and `false` set one that takes no value.

    Attributes:
      runner: what runs the pipelines; the default does it in this process.
    """

    model_config = ConfigDict(extra="allow")

    runner: Literal[
        "FnApiRunner", "PortableRunner", "FlinkRunner", "SparkRunner", "DataflowRunner"
    ] = "FnApiRunner"

    @property
    def options(self) -> Mapping[str, Any]:
        """Beam's options, as the config gives them."""
        return self.model_extra or {}

    @model_validator(mode="after")
    def _beam_knows_the_options(self) -> "BeamConfig":
        if self.options:
            _check(self.options)
        return self


def pipeline_options(config: BeamConfig) -> "PipelineOptions":
    """Makes what a pipeline is run with.

    Args:
      config: the `data.beam` section.

    Returns:
      Beam's options.
    """
    # Beam takes seconds to import: reading a config that gives no options must not wait for it.
    from apache_beam.options.pipeline_options import PipelineOptions

    # Beam's own type check does not know `collections.abc.Sequence`; mypy has checked the types.
    return PipelineOptions([*beam_flags(config), "--no_pipeline_type_check"])


def beam_flags(config: BeamConfig) -> list[str]:
    """Writes a runner and its options as Beam's command line takes them."""
    flags = [f"--runner={_LONG_NAMES.get(config.runner, config.runner)}"]
    for name, value in config.options.items():
        flags += _flags(name, value)
    return flags


def _flags(name: str, value: Any) -> Iterator[str]:
    """Writes an option as Beam's command line takes it."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, bool):
            yield f"--{name}" if each else f"--no_{name}"
        else:
            yield f"--{name}={json.dumps(each) if isinstance(each, dict) else each}"


def _check(options: Mapping[str, Any]) -> None:
    parser = _beams_parser()
    known = vars(parser.parse_known_args([])[0])
    for name, value in options.items():
        if value is None:
            raise ValueError(f"{name}: has no value; give one, or leave the option out")
        try:
            parsed, unknown = parser.parse_known_args(list(_flags(name, value)))
        except argparse.ArgumentError as error:
            raise ValueError(f"{name}: {value!r}: {error.message}") from None
        if unknown:
            closest = difflib.get_close_matches(name, known, n=1)
            remedy = f"did you mean {closest[0]}?" if closest else "see Beam's pipeline options"
            raise ValueError(f"Beam has no option {unknown[0].partition('=')[0]}; {remedy}")
        if isinstance(value, list) and not isinstance(vars(parsed).get(name, value), list):
            raise ValueError(f"{name}: {value}: takes one value; quote what begins with a bracket")
    if options.get("direct_running_mode") == "multi_threading":
        raise ValueError(
            "direct_running_mode: multi_threading: loses rows without a word; take multi_processing"
        )


def _beams_parser() -> argparse.ArgumentParser:
    """The parser of all options that Beam declares, made to raise instead of to exit."""
    from apache_beam.options.pipeline_options import PipelineOptions

    parsers: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    (parser,) = parsers
    parser.exit_on_error = False
    parser.allow_abbrev = False
    return parser
