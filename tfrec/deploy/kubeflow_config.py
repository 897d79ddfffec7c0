"""The `pipeline.kubeflow` section of a config."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from tfrec.config import Section

_BYTES = {"M": 1e6, "G": 1e9, "T": 1e12, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}

KubernetesName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)
]
"""A name that Kubernetes gives to its objects: small letters, digits, `-` and `.`."""

AbsolutePath = Annotated[str, StringConstraints(pattern=r"^/.*[^/]$")]
ObjectStore = Annotated[str, StringConstraints(pattern=r"^(gs|s3|minio)://[^/]+")]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class PodSettings(Section):
    """What a pod gets.

    Attributes:
      cpu: cores it may use; all that its node has by default.
      memory: what it may take, with a unit, e.g. `8G` or `8Gi`.
      gpus: how many GPUs it gets.
      gpu: what the cluster calls them.
      node_selector: labels of the nodes that it may run on.
    """

    cpu: Annotated[float, Field(gt=0)] | None = None
    memory: Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?[MGT]i?$")] | None = None
    gpus: Annotated[int, Field(ge=0)] = 0
    gpu: str = "nvidia.com/gpu"
    node_selector: Mapping[str, str] = {}


class TaskSettings(PodSettings):
    """What a component's pod gets.

    Attributes:
      retries: how often it is started again when it fails.
      cache: whether a run takes its outputs from an earlier run with the same inputs; by default as
        `pipeline.cache` says, and never where it reads the shop's files, which change unseen.
    """

    retries: Annotated[int, Field(ge=0)] = 0
    cache: bool | None = None

    @property
    def memory_bytes(self) -> float:
        """What it may take, 0 where nothing is said."""
        number = (self.memory or "0M").rstrip("MGTi")
        return float(number) * _BYTES[(self.memory or "0M")[len(number) :]]


class Claim(Section):
    """A claim that every pod mounts, `ReadWriteMany` where a cluster trains.

    Attributes:
      claim: name of the persistent volume claim.
      path: where pods mount it.
    """

    claim: KubernetesName
    path: AbsolutePath


class Volume(Claim):
    """A claim that components mount.

    Attributes:
      artifacts: whether artefacts stay there, so that pods do not copy them to the object store and
        back; the object store then holds only their names.
    """

    artifacts: bool = True


class Secret(Section):
    """A secret of the namespace, by name; its values are never read here.

    Attributes:
      name: of the secret.
      env: variable in pods -> key of the secret.
      path: directory in pods below which each key is a file.
    """

    name: KubernetesName
    env: Mapping[Variable, str] = {}
    path: AbsolutePath | None = None

    @model_validator(mode="after")
    def _is_given_somewhere(self) -> "Secret":
        if not self.env and self.path is None:
            raise ValueError("pods see nothing of it; say env (variable: key) or path, or both")
        return self


class KubeflowConfig(TaskSettings):
    """The `pipeline.kubeflow` section. What is said of tasks here holds for every component.

    Attributes:
      image: container image with tfrec in it that all components run in.
      host: URL of Kubeflow Pipelines' API.
      namespace: the profile to run in, where Kubeflow has several users.
      service_account: that pods run as; Kubeflow's own by default.
      root: object store below which artefacts are: gs://, s3:// or minio://; by default that of
        `pipeline.root`, if it is one, or else the one that Kubeflow was installed with.
      volume: a claim that pods mount, for data, for the model root and for artefacts.
      secrets: that pods get.
      components: component -> what it gets instead.
    """

    image: Annotated[str, StringConstraints(pattern=r"^\S+$")]
    host: str | None = None
    namespace: KubernetesName | None = None
    service_account: KubernetesName | None = None
    root: ObjectStore | None = None
    volume: Volume | None = None
    secrets: tuple[Secret, ...] = ()
    components: Mapping[str, TaskSettings] = {}

    def task(self, component: str) -> TaskSettings:
        """What a component's pod gets."""
        every = {name: getattr(self, name) for name in TaskSettings.model_fields}
        own = self.components.get(component, TaskSettings())
        return TaskSettings(**every | {name: getattr(own, name) for name in own.model_fields_set})
