"""The `pipeline` section of a config."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from tfrec.config import Section
from tfrec.data.engine import BeamConfig
from tfrec.deploy.kubeflow_config import KubeflowConfig
from tfrec.deploy.tfjob_config import TFJobConfig
from tfrec.deploy.validation_config import ValidationLimits

BeamComponent = Literal["StatisticsGen", "Transform", "Evaluator"]
"""TFX's components that are Beam pipelines; our own go by `data.beam`."""


class PipelineConfig(Section):
    """The `pipeline` section: how the stages run as a TFX pipeline.

    Attributes:
      root: directory, or gs://, s3:// or minio:// URI, below which each experiment's artefacts are.
      metadata: ML Metadata's SQLite file; `metadata.sqlite` below `root` by default.
      cache: whether a component whose inputs and config are unchanged is not run again.
      beam: component -> which of Beam's runners runs it, and Beam's options, as in `data.beam`.
      validation: what is allowed of new data before anything is learned of it.
      kubeflow: where and how Kubeflow runs it.
      training_on: `processes` trains on this machine, `tf_config` in the cluster that the
        environment's `TF_CONFIG` describes, `tfjob` on Kubernetes.
      tfjob: the job that `tfjob` makes there.
      warm_start: whether a run learns on from the model that is served last, from the days since it
        learned, in place of learning anew from all days.
    """

    root: str = "pipeline"
    metadata: Path | None = None
    cache: bool = True
    beam: Mapping[BeamComponent, BeamConfig] = {}
    validation: ValidationLimits = ValidationLimits()
    kubeflow: KubeflowConfig | None = None
    training_on: Literal["processes", "tf_config", "tfjob"] = "processes"
    tfjob: TFJobConfig | None = None
    warm_start: bool = False

    @model_validator(mode="after")
    def _has_a_job_to_make(self) -> "PipelineConfig":
        if self.training_on == "tfjob" and self.tfjob is None:
            raise ValueError(
                "training_on tfjob needs a section tfjob, e.g. "
                "{image: registry/trainer:1, volume: {claim: shop-data, path: /data}}"
            )
        return self

    def root_of(self, experiment: str) -> str:
        """The directory, or URI, of an experiment's artefacts."""
        return f"{self.root.rstrip('/')}/{experiment}"

    @property
    def metadata_file(self) -> Path:
        """ML Metadata's SQLite file."""
        return self.metadata or Path(self.root) / "metadata.sqlite"
