"""A trained model + the test window -> measurements, and whether the model is blessed."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model, ModelBlessing

from tfrec.evaluation.config import EvaluationConfig
from tfrec.pipelines.artifacts import Evaluation, PreparedData
from tfrec.pipelines.artifacts import ItemIndex as ItemIndexArtifact
from tfrec.pipelines.blessings import bless
from tfrec.pipelines.parameters import from_parameter, section
from tfrec.pipelines.reporting import reporter
from tfrec.stages.artifact import Artifact
from tfrec.stages.evaluate import evaluate
from tfrec.stages.index import ItemIndex
from tfrec.stages.train import TrainedModel


@component
def ModelEvaluator(
    config: Parameter[str],
    prepared: InputArtifact[PreparedData],
    model: InputArtifact[Model],
    item_index: InputArtifact[ItemIndexArtifact],
    evaluation: OutputArtifact[Evaluation],
    blessing: OutputArtifact[ModelBlessing],
) -> None:
    """Ranks the catalogue for every shopper of the test window, and applies the rules.

    Args:
      config: the section `evaluation`, and where the model is `served`.
      prepared: prepared data.
      model: the trained model.
      item_index: the catalogue's vectors.
      evaluation: receives the measurements.
      blessing: receives the verdict; a rule's `last` is the version that was pushed last.
    """
    made = evaluate(
        section(config, "evaluation", EvaluationConfig),
        Artifact(Path(prepared.uri)),
        TrainedModel(Path(model.uri)),
        ItemIndex(Path(item_index.uri)),
        Path(evaluation.uri),
        reporter(),
        served=Path(from_parameter(config)["served"]),
    )
    bless(blessing, made.verdict.blessed, made.verdict.because)
