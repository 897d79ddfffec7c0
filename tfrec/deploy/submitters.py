"""Who has a config's model trained."""

import os

from tfrec.deploy.pipeline_config import PipelineConfig
from tfrec.training.cluster import run_cluster
from tfrec.training.existing_cluster import ExistingCluster
from tfrec.training.submit import Submitter


def make_submitter(config: PipelineConfig, experiment: str) -> Submitter:
    """Makes the submitter that a config names.

    Args:
      config: the `pipeline` section.
      experiment: name of the experiment.

    Raises:
      UserError: if `training_on` is `tf_config` and the environment's `TF_CONFIG` does not say
        which task this process is.
    """
    if config.training_on == "tf_config":
        return ExistingCluster(os.environ.get("TF_CONFIG"))
    if config.tfjob and config.training_on == "tfjob":
        # Kubernetes' client takes a second to import, and is not there without the extra.
        from tfrec.deploy.tfjob_submitter import TFJobSubmitter

        return TFJobSubmitter(config.tfjob, experiment)
    return run_cluster
