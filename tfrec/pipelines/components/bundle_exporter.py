"""A trained model + its index -> a bundle that TensorFlow Serving loads."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model
from tfx.utils.path_utils import serving_model_dir

from tfrec.evaluation.config import Protocol
from tfrec.pipelines.artifacts import ItemIndex as ItemIndexArtifact
from tfrec.pipelines.artifacts import PreparedData
from tfrec.pipelines.parameters import from_parameter, section
from tfrec.pipelines.reporting import reporter
from tfrec.retrieval.reranking import Rules
from tfrec.serving.config import ServingConfig
from tfrec.stages.artifact import Artifact
from tfrec.stages.export import export
from tfrec.stages.going_on import write_learned
from tfrec.stages.index import ItemIndex
from tfrec.stages.train import TrainedModel


@component
def BundleExporter(
    config: Parameter[str],
    sources: Parameter[str],
    prepared: InputArtifact[PreparedData],
    model: InputArtifact[Model],
    item_index: InputArtifact[ItemIndexArtifact],
    bundle: OutputArtifact[Model],
) -> None:
    """Joins model and index, and compares the answers with the trained model's.

    Args:
      config: the sections `serving` and `reranking`, and the `protocol` of the evaluation.
      sources: what tells the ranker, where there is one, from others.
      prepared: prepared data.
      model: the trained model.
      item_index: its index.
      bundle: receives the bundle; TFX finds its version as the serving model.
    """
    rules = section(config, "reranking", Rules) if from_parameter(config)["reranking"] else None
    made = export(
        section(config, "serving", ServingConfig),
        Artifact(Path(prepared.uri)),
        TrainedModel(Path(model.uri)),
        ItemIndex(Path(item_index.uri)),
        Path(bundle.uri),
        reporter(),
        rules,
        section(config, "protocol", Protocol),
    )
    write_learned(made.version, TrainedModel(Path(model.uri)), Artifact(Path(prepared.uri)))
    serving = Path(serving_model_dir(bundle.uri))
    serving.symlink_to(made.version.relative_to(serving.parent))
