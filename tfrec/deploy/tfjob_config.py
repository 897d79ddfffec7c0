"""The `pipeline.tfjob` section of a config."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tfrec.config import Duration
from tfrec.deploy.kubeflow_config import Claim, KubernetesName, PodSettings, Secret


class TFJobConfig(PodSettings):
    """The `pipeline.tfjob` section: how a training runs as a Kubeflow TFJob.

    How many replicas there are of each kind is said in `training`. What is said of pods here holds
    for every kind.

    Attributes:
      image: container image with tfrec, and the templates of one's own, in it.
      volume: a `ReadWriteMany` claim, mounted at the same path here: it holds the prepared data and
        the checkpoints, of which every parameter server writes its part.
      namespace: where the job is made.
      context: of the kubeconfig; its current one by default. Within a cluster, the pod's own
        account is used.
      service_account: that the replicas run as.
      secrets: that the replicas get.
      pull_secrets: names of secrets that the image is pulled with.
      chief: what the chief gets instead.
      worker: what a worker gets instead.
      ps: what a parameter server gets instead.
      evaluator: what the evaluator gets instead.
      clean_pods: which pods are removed once the job has ended.
      restarts: how often replicas may be started again, all together, before the job has failed.
      start_timeout: how long a replica may wait for a node, a volume or an image.
      deadline: how long the job may run.
      kept: how long a job that has ended can be looked at before the cluster removes it.
    """

    image: Annotated[str, StringConstraints(pattern=r"^\S+$")]
    volume: Claim
    namespace: KubernetesName = "default"
    context: str | None = None
    service_account: KubernetesName | None = None
    secrets: tuple[Secret, ...] = ()
    pull_secrets: tuple[KubernetesName, ...] = ()
    chief: PodSettings = PodSettings()
    worker: PodSettings = PodSettings()
    ps: PodSettings = PodSettings()
    evaluator: PodSettings = PodSettings()
    clean_pods: Literal["Running", "All", "None"] = "Running"
    restarts: Annotated[int, Field(ge=0)] = 6
    start_timeout: Duration = 900
    deadline: Duration = 86_400
    kept: Duration = 86_400

    def pod(self, kind: str) -> PodSettings:
        """What a replica's pod gets.

        Args:
          kind: `chief`, `worker`, `ps` or `evaluator`.
        """
        own: PodSettings = getattr(self, kind)
        every = {name: getattr(self, name) for name in PodSettings.model_fields}
        return PodSettings(**every | {name: getattr(own, name) for name in own.model_fields_set})
