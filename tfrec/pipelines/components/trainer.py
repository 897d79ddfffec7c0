"""Prepared data -> a trained model."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import HyperParameters, Model

from tfrec.config import read_yaml, validate
from tfrec.deploy.pipeline_config import PipelineConfig
from tfrec.deploy.submitters import make_leading_submitter
from tfrec.features import FeatureSpec
from tfrec.models.template import ModelConfig
from tfrec.pipelines.artifacts import PreparedData
from tfrec.pipelines.joining import UNFINISHED
from tfrec.pipelines.parameters import from_parameter, section
from tfrec.pipelines.reporting import reporter
from tfrec.stages.artifact import Artifact
from tfrec.stages.going_on import going_on
from tfrec.stages.train import train
from tfrec.stages.tune import Tuned
from tfrec.training.config import TrainingConfig


@component
def Trainer(
    config: Parameter[str],
    submitter: Parameter[str],
    sources: Parameter[str],
    prepared: InputArtifact[PreparedData],
    model: OutputArtifact[Model],
    best: InputArtifact[HyperParameters] = None,
) -> None:
    """Trains the template.

    Args:
      config: the sections `training`, `model` and `features`.
      submitter: the experiment's `name`, and where to train it: `training_on` and `tfjob`.
      sources: what tells the template, and models that it goes out from, from others.
      prepared: prepared data.
      model: receives the trained model. One that was cut short lies beside it, and another
        execution of the same training goes on with it.
      best: the tuner's; its values stand in for those of `config`.
    """
    name = from_parameter(submitter)["name"]
    content = from_parameter(config) if best is None else read_yaml(Tuned(Path(best.uri)).best)
    data = Artifact(Path(prepared.uri))
    output = Path(model.uri)
    train(
        going_on(validate(TrainingConfig, content["training"], "training"), data),
        validate(ModelConfig, content["model"], "model"),
        validate(FeatureSpec, content["features"], "features"),
        data,
        output,
        reporter(),
        submitter=make_leading_submitter(section(submitter, "pipeline", PipelineConfig), name),
        work=output.with_name(UNFINISHED),  # the output's own name is the execution's number
    )
