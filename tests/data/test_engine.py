from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.flink_runner import FlinkRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.runner import create_runner

from tfrec.config import validate
from tfrec.data.engine import BeamConfig, pipeline_options
from tfrec.errors import UserError


def options_of(**config: Any) -> dict[str, Any]:
    """All of Beam's options but those that have their default."""
    options: PipelineOptions = pipeline_options(validate(BeamConfig, config, "data.beam"))
    return options.get_all_options(drop_default=True)


@pytest.mark.parametrize(
    ("config", "runner"),
    [
        ({}, FnApiRunner),
        ({"runner": "PortableRunner"}, PortableRunner),
        ({"runner": "FlinkRunner"}, FlinkRunner),
    ],
)
def test_beam_makes_the_runner_of_the_short_name(config: dict[str, str], runner: type) -> None:
    assert type(create_runner(options_of(**config)["runner"])) is runner


def test_unknown_runner_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"data\.beam\.runner: 'DaskRunner': .*'FlinkRunner'"):
        options_of(runner="DaskRunner")


def test_options_keep_their_values_whatever_type_the_config_gives_them() -> None:
    given = options_of(
        flink_version=1.17,
        parallelism="3",
        experiments=["one", "two"],
        save_main_session=True,
        use_public_ips=False,
        beam_services={"sql": "localhost:1"},
    )

    assert given == {
        "runner": given["runner"],
        "pipeline_type_check": False,
        "flink_version": "1.17",
        "parallelism": 3,
        "experiments": ["one", "two"],
        "save_main_session": True,
        "use_public_ips": False,
        "beam_services": {"sql": "localhost:1"},
    }


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"flink_mastr": "x"}, "Beam has no option --flink_mastr; did you mean flink_master?"),
        ({"flink_mas": "x"}, "Beam has no option --flink_mas; did you mean flink_master?"),
        ({"zzzzz": [1, 2]}, "Beam has no option --zzzzz; see Beam's pipeline options"),
        ({"parallelism": "many"}, "parallelism: 'many': invalid int value: 'many'"),
        ({"parallelism": None}, "parallelism: has no value; give one, or leave the option out"),
        ({"flink_version": "0.9"}, "flink_version: '0.9': invalid choice: '0.9' (choose from"),
        ({"flink_version": True}, "flink_version: True: expected one argument"),
        ({"flink_master": ["local"]}, "flink_master: ['local']: takes one value; quote what"),
        ({"direct_running_mode": "multi_threading"}, "direct_running_mode: multi_threading: loses"),
    ],
)
def test_option_that_beam_would_drop_or_misread_is_refused(
    config: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        options_of(**config)

    assert str(caught.value).startswith(f"data.beam: {message}")
