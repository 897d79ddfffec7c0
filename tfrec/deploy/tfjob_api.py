"""TFJobs through Kubernetes' API."""

import json
import os
import time
from collections.abc import Mapping
from typing import Any, NoReturn

import urllib3
from kubernetes import client, config

from tfrec.deploy.tfjob import CONTAINER, DIGEST, GROUP, PLURAL, VERSION
from tfrec.deploy.tfjob_replicas import JOB_NAME, Replica, read_replica
from tfrec.errors import UserError

_CALL_SECONDS = 30
_GONE_SECONDS = 120
_BUSY = 429


class UnreachableError(Exception):
    """Kubernetes does not answer, or cannot now; the same call may do later."""


class NoConnectionError(UnreachableError):
    """Kubernetes was not even asked: nothing has come of the call."""


class TFJobs:
    """The TFJobs of one namespace.

    What is wrong with the cluster, or with what one may do there, is a `UserError` of any method.
    """

    def __init__(self, namespace: str, context: str | None = None) -> None:
        """Finds the cluster, and asks nothing yet.

        Args:
          namespace: of the jobs.
          context: of the kubeconfig. By default a pod's own account, or else the current context.

        Raises:
          UserError: if there is no cluster to be found.
        """
        settings = client.Configuration()
        try:
            _configure(settings, context)
        except config.ConfigException as error:
            raise UserError(
                f"pipeline.tfjob: no Kubernetes cluster to be found: {error}; set KUBECONFIG, or "
                "run within a cluster"
            ) from None
        self._host, self._namespace = settings.host, namespace
        api = client.ApiClient(settings)
        self._custom, self._core = client.CustomObjectsApi(api), client.CoreV1Api(api)

    def submit(self, manifest: Mapping[str, Any]) -> None:
        """Makes a job. The same one is joined while it still runs, and made anew once it has ended.

        Raises:
          UserError: if it is refused, or its name is another job's.
          UnreachableError: if Kubernetes cannot answer now.
        """
        name = manifest["metadata"]["name"]
        if self._created(manifest):
            return
        found = self.get(name)
        annotations = (found or {}).get("metadata", {}).get("annotations", {})
        if found and annotations.get(DIGEST) != manifest["metadata"]["annotations"][DIGEST]:
            raise UserError(
                f"TFJob {self._namespace}/{name}: another job has this name; delete it, or choose "
                "another name for the experiment"
            )
        if found and not ended(found) and "deletionTimestamp" not in found["metadata"]:
            return
        self.delete(name)
        deadline = time.monotonic() + _GONE_SECONDS
        while not self._created(manifest):
            if time.monotonic() > deadline:
                raise UserError(
                    f"TFJob {self._namespace}/{name}: has ended, and is still not gone "
                    f"{_GONE_SECONDS} s after it was deleted; delete it by hand"
                )
            time.sleep(0.5)

    def get(self, name: str) -> dict[str, Any] | None:
        """Reads a job; none if there is none.

        Raises:
          UnreachableError: if Kubernetes cannot answer now.
        """
        try:
            return self._custom.get_namespaced_custom_object(
                *self._kind, name, _request_timeout=_CALL_SECONDS
            )
        except client.ApiException as error:
            if error.status == 404:
                return None
            self._refuse(error, "get tfjobs.kubeflow.org")
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(str(error)) from None

    def delete(self, name: str) -> None:
        """Deletes a job, which is gone once its pods are; does nothing where there is none.

        Raises:
          UnreachableError: if Kubernetes cannot answer now.
        """
        try:
            self._custom.delete_namespaced_custom_object(
                *self._kind, name, propagation_policy="Foreground", _request_timeout=_CALL_SECONDS
            )
        except client.ApiException as error:
            if error.status != 404:
                self._refuse(error, "delete tfjobs.kubeflow.org")
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(str(error)) from None

    def replicas(self, name: str) -> list[Replica]:
        """Reads what a job's replicas do.

        Raises:
          UnreachableError: if Kubernetes cannot answer now.
        """
        try:
            pods = self._core.list_namespaced_pod(
                self._namespace,
                label_selector=f"{JOB_NAME}={name}",
                _request_timeout=_CALL_SECONDS,
            )
        except client.ApiException as error:
            self._refuse(error, "list pods")
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(str(error)) from None
        return [read_replica(pod) for pod in pods.items]

    def log(self, pod: str, lines: int, previous: bool = False) -> str:
        """Reads the end of a replica's log.

        Args:
          pod: name of its pod.
          lines: how many lines.
          previous: of the program before the last restart.

        Returns:
          The lines; none where they are lost or there are none yet.

        Raises:
          UnreachableError: if Kubernetes cannot answer now.
        """
        try:
            answer = self._core.read_namespaced_pod_log(
                pod,
                self._namespace,
                container=CONTAINER,
                tail_lines=lines,
                previous=previous,
                # Otherwise a log that happens to be JSON comes back as Python's notation for it.
                _preload_content=False,
                _request_timeout=_CALL_SECONDS,
            )
            return answer.data.decode(errors="replace")
        except client.ApiException as error:
            if error.status in (400, 404):
                return ""
            self._refuse(error, "get pods/log")
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(str(error)) from None

    @property
    def _kind(self) -> tuple[str, str, str, str]:
        return GROUP, VERSION, self._namespace, PLURAL

    def _created(self, manifest: Mapping[str, Any]) -> bool:
        """Makes a job unless its name is taken, and says whether it did."""
        try:
            self._custom.create_namespaced_custom_object(
                *self._kind, manifest, _request_timeout=_CALL_SECONDS
            )
        except client.ApiException as error:
            if error.status == 409:
                return False
            if error.status == 404:
                raise UserError(
                    f"pipeline.tfjob.namespace: {self._namespace}: {self._host} knows no TFJobs "
                    f"there ({_message(error)}); make the namespace, and install version 1 of "
                    "Kubeflow's training operator"
                ) from None
            self._refuse(error, "create tfjobs.kubeflow.org")
        except urllib3.exceptions.HTTPError as error:
            kind = NoConnectionError if _is_unsent(error) else UnreachableError
            raise kind(f"{self._host} does not answer: {_gist(error)}") from None
        return True

    def _refuse(self, error: client.ApiException, action: str) -> NoReturn:
        if error.status in (401, 403):
            raise UserError(
                f"pipeline.tfjob.namespace: {self._namespace}: no permission to {action} there "
                f"({_message(error)}); bind a role to this account that may create, get and delete "
                "tfjobs.kubeflow.org, list pods and get pods/log"
            ) from None
        if error.status >= 500 or error.status == _BUSY:
            raise UnreachableError(_message(error)) from None
        raise UserError(f"pipeline.tfjob: Kubernetes refuses to {action}: {_message(error)}")


def ended(job: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The condition that a job has ended with; none while it has not."""
    conditions = job.get("status", {}).get("conditions") or []
    return next(
        (
            condition
            for condition in conditions
            if condition["type"] in ("Succeeded", "Failed") and condition["status"] == "True"
        ),
        None,
    )


def _configure(settings: client.Configuration, context: str | None) -> None:
    try:
        if context is not None:
            raise config.ConfigException
        config.load_incluster_config(settings)
    except config.ConfigException:
        file = os.environ.get("KUBECONFIG")
        config.load_kube_config(file, context, settings, persist_config=False)


def _message(error: client.ApiException) -> str:
    """The sentence in an answer's body, which is a `Status` unless a proxy made it."""
    try:
        return json.loads(error.body)["message"]
    except (ValueError, KeyError, TypeError):
        return f"{error.status} {error.reason}"


def _is_unsent(error: urllib3.exceptions.HTTPError) -> bool:
    unsent = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    return isinstance(getattr(error, "reason", None), unsent)


def _gist(error: Exception) -> str:
    return str(error).rpartition(": ")[2].rstrip(")'\"") or type(error).__name__
