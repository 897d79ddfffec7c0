"""A Kubernetes API server that knows TFJobs and pods, and runs what is in them as processes here.

It answers as Kubernetes does with Kubeflow's training operator v1 and a kubelet behind it, as far
as a training needs them.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tfrec.training.ports import reserve_port

TFJOBS = re.compile(r"/apis/kubeflow\.org/v1/namespaces/([^/]+)/tfjobs(?:/([^/]+))?")
PODS = re.compile(r"/api/v1/namespaces/([^/]+)/pods(?:/([^/]+)/log)?")
LABEL = "training.kubeflow.org"
LONG_AGO = "2026-11-22T00:00:00Z"


class RefusedError(Exception):
    """An answer other than what was asked for."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


class Pod:
    """A pod of one container, and its kubelet."""

    def __init__(self, kubernetes: "FakeKubernetes", job: str, kind: str, index: int) -> None:
        self.kubernetes, self.kind, self.index = kubernetes, kind, index
        self.name = f"{job}-{kind}-{index}"
        self.labels = {
            f"{LABEL}/job-name": job,
            f"{LABEL}/replica-type": kind,
            f"{LABEL}/replica-index": str(index),
        }
        self.process: subprocess.Popen | None = None
        self.logs: list[Path] = []
        self.waiting: tuple[str, str] | None = ("ContainerCreating", "")
        self.unplaced: str | None = None
        self.ended: list[int] = []
        self.phase, self.due = "Pending", 0.0

    def take(self, container: dict[str, Any], policy: str, tf_config: str | None) -> None:
        self.container, self.policy = container, policy
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.environment.pop("TF_CONFIG", None)
        if tf_config:
            self.environment["TF_CONFIG"] = tf_config

    def step(self) -> None:
        """Does what is to be done now."""
        if self.phase in ("Succeeded", "Failed") or time.monotonic() < self.due:
            return
        if self.process is None:
            self.start()
        elif self.process.poll() is not None:
            self.end(self.process.returncode)

    def start(self) -> None:
        known = self.kubernetes
        limits = self.container["resources"].get("limits", {})
        if int(limits.get("nvidia.com/gpu", 0)) > known.gpus:
            self.unplaced = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
            return
        image = self.container["image"]
        if image not in known.images:
            failed_before = self.waiting and self.waiting[0] != "ContainerCreating"
            self.waiting = (
                ("ImagePullBackOff", f'Back-off pulling image "{image}"')
                if failed_before
                else ("ErrImagePull", f"failed to pull {image}: not found")
            )
            self.due = time.monotonic() + known.back_off_seconds
            return
        for variable in self.container.get("env", []):
            reference = variable["valueFrom"]["secretKeyRef"]
            if reference["name"] not in known.secrets:
                message = f'secret "{reference["name"]}" not found'
                self.waiting = ("CreateContainerConfigError", message)
                return
            value = known.secrets[reference["name"]][reference["key"]]
            self.environment[variable["name"]] = value
        command = self.container["command"]
        if known.stand_in:
            assert command[:3] == ["python", "-m", "tfrec.training.task"]
            command = ["python", "-c", known.stand_in, *command[3:]]
        program, *arguments = command
        self.logs.append(known.folder / f"{self.name}-{len(self.logs)}.log")
        with self.logs[-1].open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable if program == "python" else program, *arguments],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.phase, self.waiting = "Running", None

    def end(self, status: int) -> None:
        self.process = None
        self.ended.append(128 - status if status < 0 else status)
        if status == 0 or self.policy == "Never":
            self.phase = "Succeeded" if status == 0 else "Failed"
            return
        self.waiting = ("CrashLoopBackOff", "back-off restarting failed container")
        self.due = time.monotonic() + self.kubernetes.back_off_seconds

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    @property
    def restarts(self) -> int:
        return max(len(self.logs) - 1, 0)

    def terminated(self, status: int) -> dict[str, Any]:
        # Whoever is killed without having been asked has taken too much memory.
        by_kernel = status == 128 + signal.SIGKILL
        reason = "Completed" if status == 0 else "OOMKilled" if by_kernel else "Error"
        return {"terminated": {"exitCode": status, "reason": reason}}

    def as_json(self) -> dict[str, Any]:
        past = [self.terminated(status) for status in self.ended]
        if self.process is not None:
            state, last = {"running": {"startedAt": LONG_AGO}}, past[-1:]
        elif self.waiting:
            reason, message = self.waiting
            state, last = {"waiting": {"reason": reason, "message": message}}, past[-1:]
        else:
            state, last = past[-1], past[-2:-1]
        container = {
            "name": self.container["name"],
            "image": self.container["image"],
            "imageID": "",
            "ready": self.process is not None,
            "restartCount": self.restarts,
            "state": state,
            "lastState": last[0] if last else {},
        }
        placed = {"type": "PodScheduled", "status": "True"}
        if self.unplaced:
            placed |= {"status": "False", "reason": "Unschedulable", "message": self.unplaced}
        return {
            "metadata": {"name": self.name, "labels": self.labels},
            "spec": {"containers": [self.container]},
            "status": {
                "phase": self.phase,
                "conditions": [placed],
                **({} if self.unplaced else {"containerStatuses": [container]}),
            },
        }


class FakeKubernetes:
    """The server; its attributes say what the cluster is like.

    Attributes:
      images: that can be pulled.
      secrets: name -> key -> value.
      gpus: of the node.
      namespaces: that there are.
      forbidden: verbs and kinds that the account may not use, e.g. `create tfjobs`.
      has_tfjobs: whether the training operator's kinds are installed.
      has_operator: whether the training operator runs.
      watches_deadlines: whether it ends jobs that take too long.
      paused: whether nothing happens behind the server for now.
      failing: answers of 503 that are still to come.
      loses_answers: whether all that is asked is done, but answered with 503.
      stand_in: a program in Python that runs instead of the training's.
      requests: what was asked, e.g. `POST /apis/...`.
    """

    def __init__(self, folder: Path, back_off_seconds: float = 0.05) -> None:
        self.folder, self.back_off_seconds = folder, back_off_seconds
        self.images, self.secrets = {"tfrec-trainer:1"}, {}
        self.namespaces, self.forbidden = {"shop"}, set()
        self.gpus, self.failing = 0, 0
        self.paused = self.loses_answers = False
        self.stand_in: str | None = None
        self.has_tfjobs = self.has_operator = self.watches_deadlines = True
        self.requests: list[str] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, list[Pod]] = {}
        self.began: dict[str, float] = {}
        self.lock = threading.RLock()
        self.closed = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator["FakeKubernetes"]:
        handler = type("Handler", (_Handler,), {"kubernetes": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        threads = [threading.Thread(target=run) for run in (server.serve_forever, self.reconcile)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self.closed.set()
            server.shutdown()
            server.server_close()
            for thread in threads:
                thread.join()
            for name in [*self.jobs]:
                self.delete(name)

    def kubeconfig(self) -> Path:
        """A file by which clients find the server."""
        named = {
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "me", "user": {}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me"}}],
        }
        file = self.folder / "kubeconfig"
        kind = {"apiVersion": "v1", "kind": "Config", "current-context": "fake"}
        file.write_text(yaml.safe_dump({**kind, **named}))
        return file

    def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        name = manifest["metadata"]["name"]
        if name in self.jobs:
            raise RefusedError(409, "AlreadyExists", f'tfjobs.kubeflow.org "{name}" already exists')
        self.jobs[name] = {**manifest, "status": {"conditions": [_condition("Created")]}}
        self.began[name] = time.monotonic()
        return self.jobs[name]

    def delete(self, name: str) -> None:
        """Kills a job's pods; it is gone a moment later, as once Kubernetes has seen to that."""
        self.job(name)["metadata"]["deletionTimestamp"] = LONG_AGO
        for pod in self.pods.pop(name, []):
            pod.kill()

    def collect(self) -> None:
        for name, job in [*self.jobs.items()]:
            if "deletionTimestamp" in job["metadata"]:
                del self.jobs[name]

    def job(self, name: str) -> dict[str, Any]:
        if name not in self.jobs:
            raise RefusedError(404, "NotFound", f'tfjobs.kubeflow.org "{name}" not found')
        return self.jobs[name]

    def log(self, name: str, lines: int, previous: bool) -> str:
        found = [pod for pods in self.pods.values() for pod in pods if pod.name == name]
        if not found:
            raise RefusedError(404, "NotFound", f'pods "{name}" not found')
        logs = found[0].logs[: -1 if previous else None]
        if not logs:
            raise RefusedError(400, "BadRequest", f'container in pod "{name}" is waiting to start')
        return "".join(logs[-1].read_text().splitlines(keepends=True)[-lines:])

    def reconcile(self) -> None:
        """Is the training operator, and all kubelets."""
        while not self.closed.wait(0.01):
            with self.lock:
                if self.paused:
                    continue
                self.collect()
                for name, job in self.jobs.items():
                    if self.has_operator and not _ended(job):
                        self.pods.setdefault(name, self.make_pods(job))
                        for pod in self.pods[name]:
                            pod.step()
                        self.judge(name, job)

    def make_pods(self, job: dict[str, Any]) -> list[Pod]:
        name, specs = job["metadata"]["name"], job["spec"]["tfReplicaSpecs"]
        pods = [
            Pod(self, name, kind.lower(), index)
            for kind, spec in specs.items()
            for index in range(spec["replicas"])
        ]
        cluster: dict[str, list[str]] = {}
        for pod in pods:
            if pod.kind != "evaluator":
                cluster.setdefault(pod.kind, []).append(f"127.0.0.1:{reserve_port()}")
        by_kind = {kind.lower(): spec for kind, spec in specs.items()}
        for pod in pods:
            task = {"type": pod.kind, "index": pod.index}
            tf_config = {"cluster": cluster, "task": task, "environment": "cloud"}
            spec = by_kind[pod.kind]
            (container,) = spec["template"]["spec"]["containers"]
            assert container["name"] == "tensorflow"
            distributed = json.dumps(tf_config) if len(pods) > 1 else None
            pod.take(container, spec["restartPolicy"], distributed)
        return pods

    def seconds(self, name: str) -> float:
        return time.monotonic() - self.began[name]

    def judge(self, name: str, job: dict[str, Any]) -> None:
        """Says what has become of a job."""
        pods, policy = self.pods[name], job["spec"]["runPolicy"]
        has_chief = "Chief" in job["spec"]["tfReplicaSpecs"]
        (leader,) = [p for p in pods if (p.kind, p.index) == (["worker", "chief"][has_chief], 0)]
        restarts = sum(pod.restarts for pod in pods)
        end = None
        if leader.phase == "Succeeded":
            end = _condition("Succeeded", f"TFJob shop/{name} successfully completed.")
        elif restarts >= policy["backoffLimit"] > 0:
            why = "it has reached the specified backoff limit"
            end = _condition("Failed", f"Job {name} has failed because {why}")
        elif self.watches_deadlines and self.seconds(name) > policy["activeDeadlineSeconds"]:
            why = "it was active longer than specified deadline"
            end = _condition("Failed", f"Job {name} has failed because {why}")
        elif any(pod.phase == "Failed" for pod in pods):
            (kind, *_) = [pod.kind for pod in pods if pod.phase == "Failed"]
            why = f"1 {kind.title()} replica(s) failed."
            end = _condition("Failed", f"TFJob shop/{name} has failed because {why}")
        if end is None:
            return
        job["status"]["conditions"].append(end)
        cleaned = {
            "Running": [pod for pod in pods if pod.phase == "Running"],
            "All": pods,
            "None": [],
        }[policy["cleanPodPolicy"]]
        for pod in cleaned:
            pod.kill()
        self.pods[name] = [pod for pod in pods if pod not in cleaned]

    def answer(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        """What a request comes to: an object as JSON, or a log's text."""
        url = urlsplit(path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        jobs, pods = TFJOBS.fullmatch(url.path), PODS.fullmatch(url.path)
        match = jobs or pods
        if match is None or (jobs and not self.has_tfjobs):
            raise RefusedError(404, "", "404 page not found")
        namespace, name = match.groups()
        verb = {"POST": "create", "DELETE": "delete"}.get(method, "get" if name else "list")
        kind = "tfjobs" if jobs else "pods/log" if name else "pods"
        if f"{verb} {kind}" in self.forbidden:
            raise RefusedError(
                403,
                "Forbidden",
                f'{kind} is forbidden: User "me" cannot {verb} resource "{kind}" in API group '
                f'"kubeflow.org" in the namespace "{namespace}"',
            )
        if namespace not in self.namespaces:
            raise RefusedError(404, "NotFound", f'namespaces "{namespace}" not found')
        if pods and name:
            lines = int(query["tailLines"])
            return self.log(name, lines, query.get("previous", "").lower() == "true")
        if pods:
            job = query["labelSelector"].partition("=")[2]
            listed = [pod.as_json() for pod in self.pods.get(job, [])]
            return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": listed}
        if method == "POST":
            return self.create(body)
        if method == "DELETE":
            self.delete(name)
            return {"kind": "Status", "status": "Success"}
        return self.job(name)


class _Handler(BaseHTTPRequestHandler):
    kubernetes: FakeKubernetes

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        fake = self.kubernetes
        with fake.lock:
            fake.requests.append(f"{self.command} {self.path}")
            try:
                if fake.failing:
                    fake.failing -= 1
                    raise RefusedError(503, "ServiceUnavailable", "the server is shutting down")
                code, answer = 200, fake.answer(self.command, self.path, body)
                if fake.loses_answers:
                    raise RefusedError(503, "ServiceUnavailable", "the server has lost its store")
            except RefusedError as error:
                status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
                told = {"message": str(error), "reason": error.reason, "code": error.code}
                code, answer = error.code, status | told if error.reason else str(error)
        kind = "text/plain" if isinstance(answer, str) else "application/json"
        content = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = handle_any  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def _condition(kind: str, message: str = "") -> dict[str, str]:
    return {"type": kind, "status": "True", "reason": f"TFJob{kind}", "message": message}


def _ended(job: dict[str, Any]) -> bool:
    return job["status"]["conditions"][-1]["type"] in ("Succeeded", "Failed")
