"""Who has a config's model trained."""

import os

from tfrec.deploy.pipeline_config import PipelineConfig
from tfrec.errors import UserError
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


def make_leading_submitter(config: PipelineConfig, experiment: str) -> Submitter:
    """Makes the submitter of a process that goes on with the model, as a pipeline does.

    Args:
      config: the `pipeline` section.
      experiment: name of the experiment.

    Raises:
      UserError: as `make_submitter` does, and if this process only helps in its cluster.
    """
    submitter = make_submitter(config, experiment)
    if isinstance(submitter, ExistingCluster) and not submitter.leads:
        raise UserError(
            f"TF_CONFIG: {submitter.name} does not lead its cluster; it helps the task that does "
            "by `tfrec pipeline join CONFIG`"
        )
    return submitter


def check_runs_all(config: PipelineConfig) -> None:
    """Checks that one process can run all stages, without one that joins it in training.

    Args:
      config: the `pipeline` section.

    Raises:
      UserError: if `training_on` is `tf_config`, where every task of a cluster has to train.
    """
    if config.training_on == "tf_config":
        raise UserError(
            f"pipeline.training_on: {config.training_on} has every task run `tfrec train CONFIG`, "
            "and none the other stages beside; run each by its own command, or all by "
            "`tfrec pipeline run CONFIG`, which the others join"
        )
