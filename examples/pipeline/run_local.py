"""Runs the pipeline here with TFX's own runner; `tfrec pipeline run films.yaml` shows more."""

from tfx.orchestration.local.local_dag_runner import LocalDagRunner

import tfrec
from tfrec.pipelines.pipeline import build

if __name__ == "__main__":
    experiment = tfrec.Experiment.load("films.yaml")
    LocalDagRunner().run(build(experiment.config))
