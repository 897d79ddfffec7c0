"""A trained model + the catalogue -> an index of the items."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model

from tfrec.pipelines.artifacts import ItemIndex, PreparedData
from tfrec.pipelines.parameters import section
from tfrec.pipelines.reporting import reporter
from tfrec.retrieval.config import IndexConfig
from tfrec.stages.artifact import Artifact
from tfrec.stages.index import index
from tfrec.stages.train import TrainedModel


@component
def ItemIndexer(
    config: Parameter[str],
    prepared: InputArtifact[PreparedData],
    model: InputArtifact[Model],
    item_index: OutputArtifact[ItemIndex],
) -> None:
    """Embeds the catalogue and indexes it.

    Args:
      config: the section `index`.
      prepared: prepared data.
      model: the trained model.
      item_index: receives the index.
    """
    index(
        section(config, "index", IndexConfig),
        Artifact(Path(prepared.uri)),
        TrainedModel(Path(model.uri)),
        Path(item_index.uri),
        reporter(),
    )
