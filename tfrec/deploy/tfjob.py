"""A training as a TFJob of Kubeflow's training operator."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from tfrec.deploy.kubeflow_config import PodSettings, Secret
from tfrec.deploy.tfjob_config import TFJobConfig
from tfrec.errors import UserError
from tfrec.training.cluster import task_counts
from tfrec.training.config import TrainingConfig

GROUP, VERSION, PLURAL = "kubeflow.org", "v1", "tfjobs"
CONTAINER = "tensorflow"
"""The name by which the operator finds the container that gets `TF_CONFIG`."""

DIGEST = "tfrec/digest"
"""Annotation of a job: digest of all that it was made of."""

_REPLICAS = {"chief": "Chief", "worker": "Worker", "ps": "PS", "evaluator": "Evaluator"}
_LONGEST_NAME = 30
"""The operator names services after a job and its replicas; a name in DNS has 63 letters."""


def render_tfjob(
    config: TFJobConfig, training: TrainingConfig, name: str, job: Path
) -> dict[str, Any]:
    """Renders the manifest of a training.

    Its replicas run `tfrec.training.task`, as the processes of a local cluster do; the operator
    tells each by `TF_CONFIG` which it is. Restarted in their pods, they go on behind the last
    checkpoint.

    Args:
      config: the `pipeline.tfjob` section.
      training: the `training` section.
      name: of the experiment.
      job: a `TrainingJob` as JSON, on the volume.

    Returns:
      The manifest. Its name ends in a digest of it: the same training has the same name.

    Raises:
      UserError: if the job is not on the volume.
    """
    volume = Path(config.volume.path)
    if volume not in job.parents:
        raise UserError(
            f"pipeline.tfjob.volume.path: {volume} does not hold {job.parent}, where training "
            "leaves its checkpoints; keep artefacts on the volume, e.g. "
            f"--runs {volume}/runs, or --pipeline.root {volume}/pipeline"
        )
    spec = {
        "runPolicy": {
            "cleanPodPolicy": config.clean_pods,
            "backoffLimit": config.restarts,
            "activeDeadlineSeconds": config.deadline,
            "ttlSecondsAfterFinished": config.kept,
        },
        "tfReplicaSpecs": {
            _REPLICAS[kind]: {
                "replicas": count,
                "restartPolicy": "OnFailure",
                "template": _pod(config, config.pod(kind), job),
            }
            for kind, count in task_counts(training).items()
        },
    }
    digest = hashlib.sha256(json.dumps([name, spec], sort_keys=True).encode()).hexdigest()
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST_NAME].rstrip("-")
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "TFJob",
        "metadata": {
            # A service's name begins with a letter.
            "name": f"tfrec-{readable}-{digest[:8]}".replace("--", "-"),
            "namespace": config.namespace,
            "labels": {"app.kubernetes.io/managed-by": "tfrec"},
            "annotations": {DIGEST: digest},
        },
        "spec": spec,
    }


def _pod(config: TFJobConfig, settings: PodSettings, job: Path) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": config.image,
        "command": ["python", "-m", "tfrec.training.task", str(job)],
        "resources": _resources(settings),
        "volumeMounts": [{"name": "data", "mountPath": config.volume.path}],
    }
    volumes: list[dict[str, Any]] = [
        {"name": "data", "persistentVolumeClaim": {"claimName": config.volume.claim}}
    ]
    variables = [_variable(secret, key) for secret in config.secrets for key in secret.env]
    for number, secret in enumerate(config.secrets):
        if secret.path:
            volume = f"secret-{number}"
            mount = {"name": volume, "mountPath": secret.path, "readOnly": True}
            container["volumeMounts"].append(mount)
            volumes.append({"name": volume, "secret": {"secretName": secret.name}})
    pod = {
        "containers": [container | ({"env": variables} if variables else {})],
        "volumes": volumes,
        "nodeSelector": dict(settings.node_selector),
        "serviceAccountName": config.service_account,
        "imagePullSecrets": [{"name": secret} for secret in config.pull_secrets],
    }
    return {
        # A proxy beside it would outlive training, and the pod with it.
        "metadata": {"annotations": {"sidecar.istio.io/inject": "false"}},
        "spec": {key: value for key, value in pod.items() if value},
    }


def _variable(secret: Secret, name: str) -> dict[str, Any]:
    reference = {"name": secret.name, "key": secret.env[name]}
    return {"name": name, "valueFrom": {"secretKeyRef": reference}}


def _resources(settings: PodSettings) -> dict[str, Any]:
    """Memory and GPUs are what a pod gets, no more; cores that others leave idle it may use."""
    limits: dict[str, str] = {"memory": settings.memory} if settings.memory else {}
    requests = dict(limits)
    if settings.cpu:
        requests["cpu"] = f"{settings.cpu:g}"
    if settings.gpus:
        limits[settings.gpu] = requests[settings.gpu] = str(settings.gpus)
    return {"requests": requests, "limits": limits}
