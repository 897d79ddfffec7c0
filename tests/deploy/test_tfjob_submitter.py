"""Trainings as TFJobs, followed over real sockets; what runs in the replicas is a few lines."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_kubernetes import FakeKubernetes

from tfrec.deploy import tfjob_submitter
from tfrec.deploy.tfjob_config import TFJobConfig
from tfrec.deploy.tfjob_submitter import TFJobSubmitter
from tfrec.errors import UserError
from tfrec.training.config import TrainingConfig
from tfrec.training.processes import TaskStatus
from tfrec.training.progress import Progress

PROGRAM = """
import json, os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1]).parent
lone = '{"task": {"type": "chief", "index": 0}}'
task = json.loads(os.environ.get("TF_CONFIG", lone))["task"]
name = f"{task['type']}-{task['index']}"
def say(**content):
    print(json.dumps(content), flush=True)
def tell(step):
    say(progress=dict(step=step, steps=9, examples_per_second=1.0, loss=None))
def live(until="never"):
    while not (folder / until).exists():
        time.sleep(0.01)
start = len([*folder.glob(f"{name}.start-*")])
(folder / f"{name}.start-{start}").touch()
acts = json.loads((folder / "job.json").read_text()).get(name, ["live()"])
exec(acts[min(start, len(acts) - 1)])
"""
"""Stands in for a training's task: does as the job tells it, another thing at each start."""


class Training:
    """A training on a fake cluster, and what was told of it."""

    def __init__(self, folder: Path, kubernetes: FakeKubernetes) -> None:
        self.folder, self.kubernetes = folder, kubernetes
        self.told: list[Progress] = []
        self.states: list[str] = []
        self.restarted: set[str] = set()
        self.when: Callable[[], object] = lambda: None

    def go(self, acts: dict[str, list[str]] | None = None, **values: object) -> None:
        """Trains; `acts` says what a task does at each start."""
        volume = {"claim": "data", "path": str(self.folder)}
        defaults = {"image": "tfrec-trainer:1", "namespace": "shop", "volume": volume}
        config = TFJobConfig.model_validate({**defaults, **values})
        job = self.folder / "runs" / "job.json"
        job.parent.mkdir(exist_ok=True)
        job.write_text(json.dumps(acts or {}))
        training = TrainingConfig(workers=1, parameter_servers=1)
        submit = TFJobSubmitter(config, "my_shop", poll_seconds=0.02)
        submit(training, job, self.logs, self.told.append, self.see)

    def see(self, tasks: list[TaskStatus]) -> None:
        for task in tasks:
            state = f"{task.name} {task.state}"
            if state not in self.states:
                self.states.append(state)
            if task.restarts:
                self.restarted.add(task.name)
        self.when()

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def let_go(self) -> None:
        """Ends what a task's `live('go')` waits for."""
        (self.folder / "runs" / "go").touch()

    def jobs_left(self) -> list[str]:
        with self.kubernetes.lock:
            self.kubernetes.collect()
            return [*self.kubernetes.jobs]

    def starts(self, task: str) -> int:
        return len([*(self.folder / "runs").glob(f"{task}.start-*")])


@pytest.fixture
def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    with FakeKubernetes(tmp_path).running() as fake:
        fake.stand_in = PROGRAM
        monkeypatch.setenv("KUBECONFIG", str(fake.kubeconfig()))
        yield fake


@pytest.fixture
def training(tmp_path: Path, kubernetes: FakeKubernetes) -> Training:
    return Training(tmp_path, kubernetes)


def test_a_job_is_followed_until_its_chief_has_trained(training: Training) -> None:
    running = {"chief-0 running", "worker-0 running", "ps-0 running"}
    training.when = lambda: running <= set(training.states) and training.let_go()
    training.go({"chief-0": ["tell(2); tell(4); live('go'); tell(9)"]})

    assert [progress.step for progress in training.told] == [2, 4, 9]
    assert "chief-0 done" in training.states
    assert '"step": 9' in (training.logs / "chief-0.log").read_text()
    (job,) = training.kubernetes.jobs.values()
    assert job["status"]["conditions"][-1]["type"] == "Succeeded"


def test_each_replica_is_told_which_task_of_the_cluster_it_is(training: Training) -> None:
    note = "(folder / f'{name}.json').write_text(os.environ['TF_CONFIG'])"
    wait = "live('worker-0.json'); live('ps-0.json')"
    training.go(
        {"chief-0": [f"{note}; {wait}"], "worker-0": [f"{note}; live()"],
         "ps-0": [f"{note}; live()"]}
    )  # fmt: skip

    found = [json.loads(file.read_text()) for file in (training.folder / "runs").glob("*-0.json")]
    assert {one["task"]["type"] for one in found} == {"chief", "worker", "ps"}
    assert len({json.dumps(one["cluster"], sort_keys=True) for one in found}) == 1


def test_a_replica_that_fails_is_started_again_and_seen(training: Training) -> None:
    def look() -> None:
        if training.restarted == {"worker-0"} and training.starts("worker-0") == 2:
            training.let_go()

    training.when = look
    training.go({"chief-0": ["live('go')"], "worker-0": ["print('oh'); sys.exit(3)", "live()"]})

    assert training.starts("worker-0") == 2
    assert (training.logs / "worker-0.log").read_text() == "oh\n"


def test_a_replica_that_fails_again_and_again_ends_training_by_name(training: Training) -> None:
    with pytest.raises(
        UserError,
        match=r"^TFJob shop/tfrec-my-shop-\w+: Job .* reached the specified backoff limit; "
        r"worker-0 exited with status 3( \(restarts: \d\))?; see .*worker-0.log; its last lines: "
        r"two \| three$",
    ):
        training.go(
            {"worker-0": ["print('two\\nthree'); sys.exit(3)"]}, restarts=2, clean_pods="None"
        )

    assert training.starts("worker-0") >= 2


def test_want_of_memory_is_told_as_kubernetes_calls_it(training: Training) -> None:
    with pytest.raises(UserError, match=r"ps-0 ended as OOMKilled with status 137"):
        training.go(
            {"ps-0": ["os.kill(os.getpid(), signal.SIGKILL)"]}, restarts=1, clean_pods="None"
        )


def test_a_mistake_of_the_user_ends_training_at_once(training: Training) -> None:
    with pytest.raises(UserError, match=r"^lower it$"):
        training.go({"chief-0": ["say(error='lower it'); sys.exit(2)", "live()"]})

    assert training.jobs_left() == []


def test_a_bug_in_the_chief_ends_training_and_a_lost_cluster_does_not(training: Training) -> None:
    with pytest.raises(
        UserError, match=r"chief-0 exited with status 1.*; its last lines: .* \| ZeroDiv"
    ):
        training.go({"chief-0": ["sys.exit(75)", "tell(3); 1 / 0", "live()"]})

    assert "Traceback" in (training.logs / "chief-0.log").read_text()
    assert training.jobs_left() == []


def test_an_image_that_cannot_be_pulled_ends_training_by_its_name(training: Training) -> None:
    with pytest.raises(
        UserError,
        match=r"\w+-0 cannot start: ImagePullBackOff: .*typo:1.*; check .*tfjob.image, typo:1",
    ):
        training.go(image="typo:1")

    assert training.jobs_left() == []


def test_a_secret_that_is_not_there_ends_training_by_its_name(training: Training) -> None:
    with pytest.raises(UserError, match=r'secret "token" not found; check .*tfjob.secrets'):
        training.go(secrets=[{"name": "token", "env": {"TOKEN": "value"}}])


def test_a_secret_reaches_the_replicas(training: Training) -> None:
    training.kubernetes.secrets["token"] = {"value": "abc"}

    training.go(
        {"chief-0": ["(folder / 'seen').write_text(os.environ['TOKEN'])"]},
        secrets=[{"name": "token", "env": {"TOKEN": "value"}}],
    )

    assert (training.folder / "runs" / "seen").read_text() == "abc"


def test_no_permission_is_told_with_the_role_that_is_missing(training: Training) -> None:
    training.kubernetes.forbidden = {"create tfjobs"}

    with pytest.raises(
        UserError,
        match=r'^pipeline.tfjob.namespace: shop: no permission to create tfjobs.* User "me" .*; '
        r"bind a role .* create, get and delete",
    ):
        training.go()


def test_no_permission_to_see_pods_leaves_no_job_behind(training: Training) -> None:
    training.kubernetes.forbidden = {"list pods"}

    with pytest.raises(UserError, match="no permission to list pods"):
        training.go()

    assert training.jobs_left() == []


def test_a_cluster_without_the_operators_kinds_is_named(training: Training) -> None:
    training.kubernetes.has_tfjobs = False

    with pytest.raises(UserError, match=r"knows no TFJobs.*install version 1 of"):
        training.go()


def test_a_namespace_that_is_not_there_is_named(training: Training) -> None:
    with pytest.raises(UserError, match=r'other.*namespaces "other" not found'):
        training.go(namespace="other")


def test_a_replica_without_a_node_ends_training_in_the_end(training: Training) -> None:
    with pytest.raises(
        UserError, match=r"worker-0 cannot start: Unschedulable: .*Insufficient nvidia.com/gpu"
    ):
        training.go(worker={"gpus": 1}, start_timeout=1)

    assert "worker-0 waits: Unschedulable" in training.states
    assert training.jobs_left() == []


def test_an_operator_that_does_not_run_is_suspected(training: Training) -> None:
    training.kubernetes.has_operator = False

    with pytest.raises(UserError, match=r"chief-0 cannot start: NoPod: is the training operator"):
        training.go(start_timeout=1)


def test_a_job_that_takes_too_long_is_ended(training: Training) -> None:
    with pytest.raises(UserError, match=r"active longer than specified deadline"):
        training.go(deadline=1)


def test_a_job_that_its_operator_forgets_is_ended(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfjob_submitter, "_OVERDUE_SECONDS", 0)
    training.kubernetes.watches_deadlines = False

    with pytest.raises(UserError, match=r"not done after 1 s; raise pipeline.tfjob.deadline"):
        training.go(deadline=1)

    assert training.jobs_left() == []


def test_an_interrupt_takes_the_job_away(training: Training) -> None:
    def interrupt() -> None:
        if training.starts("chief-0"):
            raise KeyboardInterrupt

    training.when = interrupt
    with pytest.raises(KeyboardInterrupt):
        training.go()

    assert training.jobs_left() == []


def test_a_job_whose_making_was_not_answered_is_taken_away(training: Training) -> None:
    training.kubernetes.loses_answers = True

    with pytest.raises(UserError, match=r"Kubernetes: the server has lost its store; check the k"):
        training.go()

    assert [line.split()[0] for line in training.kubernetes.requests] == ["POST", "DELETE"]
    assert training.jobs_left() == []


def test_what_ended_training_is_told_also_where_its_job_cannot_be_deleted(
    training: Training,
) -> None:
    training.kubernetes.forbidden = {"list pods", "delete tfjobs"}

    with pytest.raises(
        UserError,
        match=r"no permission to list pods .*; TFJob tfrec-my-shop-\w+ could not be deleted "
        r"\(.* no permission to delete tfjobs.*\); delete it$",
    ):
        training.go()


def test_an_interrupt_says_which_job_it_could_not_delete(training: Training) -> None:
    def interrupt() -> None:
        training.kubernetes.forbidden = {"delete tfjobs"}
        raise KeyboardInterrupt

    training.when = interrupt
    with pytest.raises(
        UserError, match=r"^training: interrupted; TFJob tfrec-my-shop-\w+ could not be deleted"
    ):
        training.go()


def test_progress_as_another_version_tells_it_ends_training_with_one_line(
    training: Training,
) -> None:
    with pytest.raises(
        UserError, match=r"tfjob.image: tfrec-trainer:1: its tfrec is another version, .* \d+\.\d+"
    ):
        training.go({"chief-0": ["say(progress={'step': 1, 'mood': 'good'}); live()"]})

    assert training.jobs_left() == []


def test_the_end_of_its_pod_takes_the_job_away(training: Training) -> None:
    def terminate() -> None:
        if training.starts("chief-0"):
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    training.when = terminate
    with pytest.raises(KeyboardInterrupt):
        training.go()

    assert training.jobs_left() == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_training_that_runs_is_joined(training: Training) -> None:
    acts = {"chief-0": ["live('go')"]}
    first = threading.Thread(target=training.go, args=(acts,))
    first.start()
    while not training.starts("chief-0"):
        time.sleep(0.01)
    joined = Training(training.folder, training.kubernetes)
    joined.when = training.let_go

    joined.go(acts)
    first.join()

    assert training.starts("chief-0") == 1
    posts = [line for line in training.kubernetes.requests if line.startswith("POST")]
    assert len(posts) == 2


def test_a_training_whose_job_is_being_deleted_is_made_anew(training: Training) -> None:
    def interrupt() -> None:
        training.kubernetes.paused = True
        raise KeyboardInterrupt

    interrupted = Training(training.folder, training.kubernetes)
    interrupted.when = interrupt
    with pytest.raises(KeyboardInterrupt):
        interrupted.go()
    threading.Timer(0.2, setattr, (training.kubernetes, "paused", False)).start()

    training.go({"chief-0": [""]})

    assert "chief-0 done" in training.states


def test_a_training_that_has_ended_is_made_anew(training: Training) -> None:
    training.go({"chief-0": [""]})

    training.go({"chief-0": [""]})

    assert training.starts("chief-0") == 2


def test_a_name_that_another_job_has_is_refused(training: Training) -> None:
    training.go({"chief-0": [""]})
    (job,) = training.kubernetes.jobs.values()
    job["metadata"]["annotations"] = {}

    with pytest.raises(UserError, match=r"another job has this name; delete it"):
        training.go({"chief-0": [""]})


def test_a_job_that_somebody_deletes_ends_training(training: Training) -> None:
    def delete() -> None:
        if training.starts("chief-0"):
            with training.kubernetes.lock:
                for name in [*training.kubernetes.jobs]:
                    training.kubernetes.delete(name)

    training.when = delete
    with pytest.raises(UserError, match="was deleted by somebody else"):
        training.go()


def test_a_server_that_is_away_for_a_moment_is_waited_for(training: Training) -> None:
    def fail_once() -> None:
        if training.starts("chief-0") and not (training.folder / "runs" / "go").exists():
            training.kubernetes.failing = 3
            training.let_go()

    training.when = fail_once
    training.go({"chief-0": ["live('go')"]})

    assert training.kubernetes.failing == 0


def test_a_server_that_is_not_there_is_named(training: Training, tmp_path: Path) -> None:
    file = training.kubernetes.kubeconfig()
    file.write_text(file.read_text().replace(training.kubernetes.url, "http://127.0.0.1:9"))

    with pytest.raises(UserError, match=r"127.0.0.1:9 does not answer: .*; check the kubeconfig$"):
        training.go()


def test_no_cluster_at_all_is_told_so(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))

    with pytest.raises(UserError, match=r"no Kubernetes cluster to be found.*set KUBECONFIG"):
        training.go()
