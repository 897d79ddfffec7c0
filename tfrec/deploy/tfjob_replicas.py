"""What the replicas of a TFJob do, read from their pods."""

from dataclasses import dataclass
from typing import Any

from tfrec.deploy.tfjob import CONTAINER

JOB_NAME = "training.kubeflow.org/job-name"
_TYPE, _INDEX = "training.kubeflow.org/replica-type", "training.kubeflow.org/replica-index"
_RESTARTING = "CrashLoopBackOff"


@dataclass(frozen=True)
class Replica:
    """A replica, as its pod has it.

    Attributes:
      name: kind and number, as `TF_CONFIG` has them, e.g. `worker-0`.
      pod: name of its pod; none while there is none.
      state: in words.
      waits: Kubernetes' word for why it has not started, e.g. `ImagePullBackOff`; none once it has.
      why: Kubernetes' sentence for the same.
      running: whether its program runs now.
      restarts: how often its program was started again.
      deaths: how often its program ended.
      death: how its program ended last, unless it did well, e.g. `exited with status 1`.
      exit_status: the status that it ended with then.
    """

    name: str
    pod: str | None = None
    state: str = "has no pod yet"
    waits: str | None = "NoPod"
    why: str = "is the training operator running?"
    running: bool = False
    restarts: int = 0
    deaths: int = 0
    death: str | None = None
    exit_status: int | None = None


def read_replica(pod: Any) -> Replica:
    """Reads a `V1Pod` that the training operator made."""
    labels = pod.metadata.labels
    name = f"{labels[_TYPE].lower()}-{labels[_INDEX]}"
    containers = pod.status.container_statuses or []
    container = next((one for one in containers if one.name == CONTAINER), None)
    if container is None:
        return _without_container(name, pod)
    state, last = container.state, container.last_state
    waiting, ended = state.waiting, state.terminated or (last and last.terminated)
    death, exit_status = None, ended.exit_code if ended else None
    if ended and ended.exit_code:
        death = _cause(ended.reason, ended.exit_code)
    waits = waiting.reason if waiting and waiting.reason != _RESTARTING else None
    why = (waiting.message if waiting else "") or ""
    if waits:
        told = f"waits: {waits}"
    elif waiting or (state.terminated and death and pod.status.phase != "Failed"):
        told = f"{death or 'ended'}; starts again"
    elif state.terminated:
        told = death or "done"
    else:
        told = "running"
    return Replica(
        name=name,
        pod=pod.metadata.name,
        state=told,
        waits=waits,
        why=why,
        running=state.running is not None,
        restarts=container.restart_count,
        deaths=container.restart_count + (state.running is None and ended is not None),
        death=death,
        exit_status=exit_status,
    )


def _without_container(name: str, pod: Any) -> Replica:
    """A pod that has no node yet, or has lost it."""
    status = pod.status
    if status.phase == "Failed":
        death = f"was lost: {status.reason}: {status.message}"
        return Replica(name, pod.metadata.name, death, None, "", deaths=1, death=death)
    conditions = {one.type: one for one in status.conditions or []}
    placed = conditions.get("PodScheduled")
    reason = (placed.reason if placed else None) or status.phase or "Pending"
    why = (placed.message if placed else "") or ""
    return Replica(name, pod.metadata.name, f"waits: {reason}", reason, why)


def _cause(reason: str | None, exit_status: int) -> str:
    if reason in (None, "Error"):
        return f"exited with status {exit_status}"
    return f"ended as {reason} with status {exit_status}"
