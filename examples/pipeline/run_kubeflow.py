"""Compiles the pipeline for Kubeflow, with the directory for models on the shared volume."""

import sys
from pathlib import Path

import tfrec
from tfrec.pipelines.kubeflow.experiment import compile_experiment

if __name__ == "__main__":
    on_the_volume = {"serving.root": "/data/serving"}
    experiment = tfrec.Experiment.load("films.yaml", overrides=on_the_volume)
    compile_experiment(experiment.config).write(Path(sys.argv[1]))
