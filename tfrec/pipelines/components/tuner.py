"""A config with ranges -> the config that does best on the validation part."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import HyperParameters

from tfrec.pipelines.artifacts import PreparedData
from tfrec.pipelines.parameters import from_parameter
from tfrec.pipelines.reporting import reporter
from tfrec.stages.artifact import Artifact
from tfrec.stages.tune import tune


@component
def Tuner(
    config: Parameter[str],
    sources: Parameter[str],
    prepared: InputArtifact[PreparedData],
    best: OutputArtifact[HyperParameters],
) -> None:
    """Makes trials.

    Args:
      config: all sections but `pipeline`.
      sources: what tells the template from others, as its file may change.
      prepared: prepared data.
      best: receives the trials, and the best one's config as `best.yaml`.
    """
    prepared_data = Artifact(Path(prepared.uri))
    content = from_parameter(config)
    tune(content, reporter(), prepared=prepared_data, output=Path(best.uri))
