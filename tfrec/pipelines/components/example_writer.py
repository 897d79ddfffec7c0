"""Cleaned events + the fitted transform -> prepared data, and the queries to judge a bundle by."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import TransformGraph

from tfrec.data.config import DataConfig
from tfrec.features import FeatureSpec
from tfrec.pipelines import artifacts
from tfrec.pipelines.parameters import from_parameter, section
from tfrec.pipelines.reporting import reporter
from tfrec.stages.clean import CleanedEvents
from tfrec.stages.going_on import GOES_ON, newest_learned
from tfrec.stages.prepare import prepare_cleaned


@component
def ExampleWriter(
    config: Parameter[str],
    cleaned: InputArtifact[artifacts.CleanedEvents],
    transform_graph: InputArtifact[TransformGraph],
    prepared: OutputArtifact[artifacts.PreparedData],
) -> None:
    """Transforms the events and writes what the later stages read.

    Args:
      config: the sections `data` and `features`, and as `goes_on` where the model is that learns
        on, if it does.
      cleaned: catalogue and events.
      transform_graph: fitted on the training split.
      prepared: receives the prepared data, and says of which model they are the sequel, if any.
    """
    served = from_parameter(config)["goes_on"].get("served")
    made = prepare_cleaned(
        section(config, "data", DataConfig),
        section(config, "features", FeatureSpec),
        CleanedEvents(Path(cleaned.uri)),
        Path(transform_graph.uri),
        Path(prepared.uri),
        reporter(),
        newest_learned(Path(served)) if served else None,
    )
    sequel = made.manifest.summary.get(GOES_ON)
    if sequel:
        prepared.set_string_custom_property(GOES_ON, sequel["model"])
