"""The pipeline on open-source Kubeflow Pipelines: compiled, submitted, and run there."""
