"""Has a job trained as a TFJob, and follows it to its end."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from tfrec.deploy.tfjob import render_tfjob
from tfrec.deploy.tfjob_api import NoConnectionError, TFJobs, UnreachableError, ended
from tfrec.deploy.tfjob_config import TFJobConfig
from tfrec.deploy.tfjob_replicas import Replica
from tfrec.errors import UserError
from tfrec.training.cluster import task_counts
from tfrec.training.config import TrainingConfig
from tfrec.training.processes import TaskStatus
from tfrec.training.progress import Progress
from tfrec.training.task import ERROR, LOST, PROGRESS

_POLL_SECONDS = 5.0
_OVERDUE_SECONDS = 10
_HEARD_LINES, _KEPT_LINES, _TOLD_LINES = 50, 1000, 3
_FIRST_SIGNAL_STATUS = 128
_HOPELESS = {
    "CreateContainerConfigError",
    "ErrImageNeverPull",
    "ImagePullBackOff",
    "InvalidImageName",
}
_RESUME = "the same command goes on behind the last checkpoint"


class TFJobSubmitter:
    """A `Submitter`: renders a TFJob, makes it, and follows it.

    The job of a training that is interrupted, or that cannot go on, is deleted; one that has ended
    stays for `tfjob.kept`. A training that is submitted again while its job runs joins it.
    """

    def __init__(self, config: TFJobConfig, name: str, poll_seconds: float = _POLL_SECONDS) -> None:
        """Takes the `pipeline.tfjob` section and the experiment's name."""
        self._config, self._name, self._poll_seconds = config, name, poll_seconds

    def __call__(
        self,
        config: TrainingConfig,
        job: Path,
        logs: Path,
        report: Callable[[Progress], None],
        show: Callable[[Sequence[TaskStatus]], None] = lambda tasks: None,
    ) -> None:
        """Trains; see `Submitter`."""
        manifest = render_tfjob(self._config, config, self._name, job)
        name = manifest["metadata"]["name"]
        jobs = TFJobs(self._config.namespace, self._config.context)
        logs.mkdir(parents=True, exist_ok=True)
        followed = _Followed(self._config, config, jobs, name, logs, report, show)
        with _terminated_as_interrupted():
            try:
                followed.begin(manifest)
                followed.to_its_end(self._poll_seconds)
            except BaseException as error:
                if followed.may_run:
                    _delete(jobs, name, error)
                raise


class _Followed:
    """A job, and what was seen of it so far."""

    def __init__(
        self,
        config: TFJobConfig,
        training: TrainingConfig,
        jobs: TFJobs,
        name: str,
        logs: Path,
        report: Callable[[Progress], None],
        show: Callable[[Sequence[TaskStatus]], None],
    ) -> None:
        self.may_run = False
        self._config, self._training, self._jobs = config, training, jobs
        self._name, self._logs, self._report, self._show = name, logs, report, show
        counts = task_counts(training)
        tasks = [f"{kind}-{index}" for kind, count in counts.items() for index in range(count)]
        self._replicas = {task: Replica(task) for task in tasks}
        self._leader = tasks[0]
        self._heard: Mapping[str, Any] | None = None
        self._began = self._answered = time.monotonic()
        self._waiting: dict[str, float] = {}
        self._pull_errors: dict[str, str] = {}
        self._deaths: dict[str, int] = {}
        self._obituaries: dict[str, str] = {}

    def begin(self, manifest: Mapping[str, Any]) -> None:
        """Makes the job, or joins it."""
        self.may_run = True  # also where the answer to its making is lost
        try:
            self._jobs.submit(manifest)
        except UnreachableError as error:
            self.may_run = not isinstance(error, NoConnectionError)
            raise UserError(f"pipeline.tfjob: Kubernetes: {error}; check the kubeconfig") from None
        except UserError:
            self.may_run = False
            raise

    def to_its_end(self, poll_seconds: float) -> None:
        """Follows the job until it has succeeded."""
        while True:
            try:
                if self._look():
                    return
                self._answered = time.monotonic()
            except UnreachableError as error:
                if time.monotonic() - self._answered > self._config.start_timeout:
                    self._fail(
                        f"Kubernetes has not answered for {self._config.start_timeout} s: {error}"
                    )
            # The operator (1.9.3) notices only when a pod changes.
            if time.monotonic() - self._began > self._config.deadline + _OVERDUE_SECONDS:
                self._fail(
                    f"not done after {self._config.deadline} s; raise pipeline.tfjob.deadline, "
                    f"and {_RESUME}"
                )
            time.sleep(poll_seconds)

    def _look(self) -> bool:
        """Looks once, and says whether the job has succeeded."""
        job = self._jobs.get(self._name)
        if job is None:
            self.may_run = False
            self._fail(f"was deleted by somebody else; {_RESUME}")
        found = {replica.name: replica for replica in self._jobs.replicas(self._name)}
        end = ended(job)
        self.may_run = end is None
        self._replicas = {
            # The pods of a job that has ended are cleaned up.
            name: found.get(name, was if end else Replica(name))
            for name, was in self._replicas.items()
        }
        for name, replica in self._replicas.items():
            if replica.death and replica.deaths > self._deaths.get(name, 0):
                self._bury(replica)
                self._deaths[name] = replica.deaths
        self._hear()
        self._show([self._status(replica) for replica in self._replicas.values()])
        if end is None:
            self._check_starts()
            return False
        for replica in found.values():
            if replica.pod and (replica.running or not replica.death):
                self._keep(replica, self._jobs.log(replica.pod, _KEPT_LINES))
        if end["type"] == "Failed":
            self._fail("; ".join([end.get("message", "failed"), *self._obituaries.values()]))
        return True

    def _hear(self) -> None:
        """Passes on what the leader says."""
        leader = self._replicas[self._leader]
        if leader.pod is None or (self.may_run and not leader.running):
            return
        said = self._jobs.log(leader.pod, _HEARD_LINES)
        told = [content[PROGRESS] for content in _messages(said) if PROGRESS in content]
        news = told[told.index(self._heard) + 1 :] if self._heard in told else told
        for progress in news:
            self._heard = progress
            self._report(self._read(progress))

    def _read(self, progress: Mapping[str, Any]) -> Progress:
        try:
            return Progress(**progress)
        except TypeError:
            self._fail(
                f"pipeline.tfjob.image: {self._config.image}: its tfrec is another version, which "
                f"tells its progress otherwise; build it with {version('tfrec')}, as here"
            )

    def _bury(self, replica: Replica) -> None:
        """Takes down how a replica ended, while it can be read.

        Raises:
          UserError: if the leader says that it is no use to start again.
        """
        said = self._last_words(replica)
        log = self._keep(replica, said)
        again = f" (restarts: {replica.restarts})" if replica.restarts else ""
        lines = [line for line in said.splitlines() if line.strip() and not line.startswith("{")]
        last = lines[-_TOLD_LINES:]
        quoted = f"; its last lines: {' | '.join(last)}" if last else ""
        self._obituaries[replica.name] = f"{replica.name} {replica.death}{again}; see {log}{quoted}"
        if replica.name != self._leader:
            return
        for content in _messages(said):
            if ERROR in content:
                raise UserError(content[ERROR])
        status = replica.exit_status or LOST
        in_step = self._training.strategy == "multi_worker_mirrored"
        if status != LOST and status < _FIRST_SIGNAL_STATUS and not in_step:
            self._fail(self._obituaries[replica.name])

    def _last_words(self, replica: Replica) -> str:
        """The log of the program of a replica that ended last."""
        assert replica.pod is not None
        said = self._jobs.log(replica.pod, _KEPT_LINES, previous=replica.running)
        for now in self._jobs.replicas(self._name):
            if now.pod == replica.pod and now.restarts > replica.restarts:
                return self._jobs.log(replica.pod, _KEPT_LINES, previous=True)
        return said

    def _keep(self, replica: Replica, said: str) -> Path:
        log = self._log(replica)
        with log.open("a") as file:
            file.write(said)
        return log

    def _check_starts(self) -> None:
        """Gives up on replicas that wait for what will not come, or have waited for long."""
        now = time.monotonic()
        for name, replica in self._replicas.items():
            if replica.waits is None:
                self._waiting.pop(name, None)
                continue
            if replica.waits == "ErrImagePull" and replica.why:
                self._pull_errors[name] = replica.why
            waited = now - self._waiting.setdefault(name, now)
            why = self._pull_errors.get(name, replica.why)
            reason = f"{name} cannot start: {replica.waits}" + (f": {why}" if why else "")
            # Later a registry may fail for a while, and a worker with it; the others go on.
            if replica.waits in _HOPELESS and self._heard is None:
                self._fail(f"{reason}; {_remedy(replica.waits, self._config)}")
            if waited > self._config.start_timeout:
                self._fail(
                    f"{reason}, for {self._config.start_timeout} s (pipeline.tfjob.start_timeout); "
                    f"kubectl -n {self._config.namespace} describe pod {replica.pod or self._name}"
                )

    def _fail(self, why: str) -> NoReturn:
        raise UserError(f"TFJob {self._config.namespace}/{self._name}: {why}")

    def _status(self, replica: Replica) -> TaskStatus:
        log = self._log(replica)
        return TaskStatus(replica.name, replica.state, None, replica.restarts, 0, log)

    def _log(self, replica: Replica) -> Path:
        return self._logs / f"{replica.name}.log"


def _delete(jobs: TFJobs, name: str, reason: BaseException) -> None:
    """Deletes a job; where that fails, what it was deleted for says so too."""
    try:
        jobs.delete(name)
    except (UnreachableError, UserError) as error:
        left = f"TFJob {name} could not be deleted ({error}); delete it"
        if isinstance(reason, KeyboardInterrupt):
            raise UserError(f"training: interrupted; {left}") from None
        reason.args = (f"{reason}; {left}",)


def _messages(said: str) -> Iterator[Mapping[str, Any]]:
    """The lines that a task meant for whoever supervises it."""
    for line in said.splitlines():
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except ValueError:  # printed by something else
                continue


def _remedy(waits: str, config: TFJobConfig) -> str:
    if waits == "CreateContainerConfigError":
        return "check the names and keys in pipeline.tfjob.secrets"
    return (
        f"check pipeline.tfjob.image, {config.image}, and that the cluster may pull it "
        "(pipeline.tfjob.pull_secrets)"
    )


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Has SIGTERM, by which Kubernetes ends a pod, clean up as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
