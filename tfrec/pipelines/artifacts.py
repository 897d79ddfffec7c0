"""The types of our artefacts that TFX has no name for; each is a directory that a stage made."""

from tfx.types.artifact import Artifact
from tfx.types.system_artifacts import Dataset, Metrics


class CleanedEvents(Artifact):
    """Catalogue, promotions and cleaned events; see `tfrec.stages.clean`."""

    TYPE_NAME = "tfrec.CleanedEvents"
    TYPE_ANNOTATION = Dataset


class PreparedData(Artifact):
    """What the stages after preparation read; see `tfrec.stages.prepare`."""

    TYPE_NAME = "tfrec.PreparedData"
    TYPE_ANNOTATION = Dataset


class ItemIndex(Artifact):
    """The catalogue's vectors and their index; see `tfrec.stages.index`."""

    TYPE_NAME = "tfrec.ItemIndex"


class Evaluation(Artifact):
    """Measurements of a model and its baselines; see `tfrec.stages.evaluate`."""

    TYPE_NAME = "tfrec.Evaluation"
    TYPE_ANNOTATION = Metrics
