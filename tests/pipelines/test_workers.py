from typing import Any

import pytest
from apache_beam.options.pipeline_options import PortableOptions
from apache_beam.transforms.environments import DockerEnvironment, Environment

from tfrec.data.engine import BeamConfig, pipeline_options
from tfrec.errors import UserError
from tfrec.pipelines.workers import with_workers

SDK = "registry.shop/beam:1"


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ({"runner": "FnApiRunner", "direct_num_workers": 2}, {}),
        ({"runner": "FlinkRunner", "environment_type": "LOOPBACK"}, {}),
        ({"runner": "PortableRunner", "environment_config": SDK}, {}),
        ({"runner": "DataflowRunner"}, {"sdk_container_image": "tfrec:1"}),
        ({"runner": "DataflowRunner", "sdk_container_image": SDK}, {}),
        (
            {"runner": "SparkRunner", "sdk_container_image": SDK},
            {"environment_type": "DOCKER", "environment_config": SDK},
        ),
        (
            {"runner": "FlinkRunner"},
            {
                "sdk_container_image": "tfrec:1",
                "environment_type": "DOCKER",
                "environment_config": "tfrec:1",
            },
        ),
    ],
)
def test_workers_get_the_image_in_the_options_that_their_runner_goes_by(
    given: dict[str, Any], added: dict[str, str]
) -> None:
    made = with_workers(BeamConfig(**given), "data.beam", "tfrec:1")

    assert made == BeamConfig(**given, **added)


def test_beam_runs_workers_in_the_image_that_it_is_given() -> None:
    engine = with_workers(BeamConfig(runner="FlinkRunner"), "data.beam", "tfrec:1")

    environment = Environment.from_options(pipeline_options(engine).view_as(PortableOptions))

    assert isinstance(environment, DockerEnvironment)
    assert environment.container_image == "tfrec:1"


def test_workers_of_which_nobody_knows_what_they_run_in_are_refused() -> None:
    with pytest.raises(UserError, match=r"^data\.beam: the workers of FlinkRunner need an image"):
        with_workers(BeamConfig(runner="FlinkRunner"), "data.beam", None)
