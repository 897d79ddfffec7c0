"""What the workers of Beam's runners run in."""

from tfrec.data.engine import IN_MEMORY_RUNNER, BeamConfig
from tfrec.errors import UserError

IMAGE = "sdk_container_image"
"""Beam's option for the image; only Dataflow's workers go by it alone."""

_ENVIRONMENT = ("environment_type", "environment_config", "environment_options")


def with_workers(engine: BeamConfig, field: str, image: str | None) -> BeamConfig:
    """Names the image in which a runner's workers find the code.

    Args:
      engine: the runner; where its options say what workers run in, they stay as they are.
      field: dotted name of the config's field, for messages.
      image: the one that the options do not name, if any.

    Returns:
      The runner, with options that it goes by.

    Raises:
      UserError: if nothing says what workers run in.
    """
    options = dict(engine.options)
    if engine.runner == IN_MEMORY_RUNNER or options.keys() & {*_ENVIRONMENT}:
        return engine
    options.setdefault(IMAGE, image)
    if options[IMAGE] is None:
        raise UserError(
            f"{field}: the workers of {engine.runner} need an image with tfrec; "
            f"name it in {IMAGE}, or in pipeline.kubeflow.image"
        )
    if engine.runner != "DataflowRunner":
        options |= {"environment_type": "DOCKER", "environment_config": options[IMAGE]}
    return BeamConfig(runner=engine.runner, **options)
