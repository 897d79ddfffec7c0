"""Tasks of a cluster that join a pipeline where it trains; they find it by its directories."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfrec.errors import UserError
from tfrec.stages.artifact import left_unfinished, made_of
from tfrec.stages.reporter import Reporter
from tfrec.training.config import TrainingConfig
from tfrec.training.existing_cluster import ExistingCluster, LeaderLostError
from tfrec.training.heartbeat import HEARTBEAT, Heartbeat, beating, say_ended
from tfrec.training.job import JOB_FILE, TrainingJob

UNFINISHED = "unfinished"
"""What Trainer names the directory of a training after that is not done."""

_POLL_SECONDS = 0.5


@contextmanager
def joinable(root: Path) -> Iterator[None]:
    """Lets the tasks that join see that the pipeline runs, and whether it came to its end.

    Args:
      root: directory of the pipeline's artefacts.
    """
    root.mkdir(parents=True, exist_ok=True)
    with beating(root / HEARTBEAT):
        yield
    say_ended(root / HEARTBEAT)


def join(
    task: ExistingCluster,
    root: Path,
    config: TrainingConfig,
    keep: bool = False,
    reporter: Reporter | None = None,
    poll_seconds: float = _POLL_SECONDS,
) -> Path | None:
    """Helps the leader of a cluster with the training of its pipeline.

    Args:
      task: this process's place in the cluster.
      root: directory of the pipeline's artefacts.
      config: the `training` section.
      keep: whether to wait for the next run then, however long, and never to return.
      reporter: hears of progress.
      poll_seconds: how often it looks.

    Returns:
      The trained model; none if the pipeline came to its end without training.

    Raises:
      UserError: if this process leads the cluster, the cluster is not what the config says, this
        task dies too often, or it does not find what the leader wrote.
      LeaderLostError: if the leader is not there for `training.worker_timeout`; with `keep` it is
        waited for.
    """
    if task.leads:
        raise UserError(
            f"TF_CONFIG: {task.name} leads its cluster; it runs the pipeline by "
            "`tfrec pipeline run CONFIG`, and the others join it"
        )
    task.check(config)
    reporter = reporter or Reporter()
    while True:
        reporter.stage("join")
        try:
            model = _join_run(task, root, config, keep, reporter, poll_seconds)
        except LeaderLostError as lost:
            if not keep:
                raise
            reporter.warn(str(lost))
            continue
        if not keep:
            return model


def _join_run(
    task: ExistingCluster,
    root: Path,
    config: TrainingConfig,
    keep: bool,
    reporter: Reporter,
    poll_seconds: float,
) -> Path | None:
    """Helps until a model is trained; to the end of the run where one stays for the next."""
    leader, heartbeats = task.leader_in(root, config), dict[Path, Heartbeat]()
    model, told = None, ""
    while not leader.heartbeat.has_ended:
        waited = "its training" if leader.heartbeat.heard else f"a pipeline's run in {root}"
        if waited != told:
            told = waited
            reporter.step(f"waiting for {waited}")
        training = _at_work(root, heartbeats)
        if training is not None:
            reporter.step(f"helping in {training}")
            model = _help(task, training, reporter)
            heartbeats.clear()
            if model and not keep:
                return model
        elif leader.heartbeat.heard or not keep:
            leader.check()
        time.sleep(poll_seconds)
    return model


def _at_work(root: Path, heartbeats: dict[Path, Heartbeat]) -> Path | None:
    """The directory of a training whose leader lives; one that was killed left another."""
    for folder in left_unfinished(root / "Trainer" / "model" / UNFINISHED):
        heartbeat = heartbeats.setdefault(folder, Heartbeat(folder / HEARTBEAT))
        if heartbeat.heard and (folder / JOB_FILE).exists():
            return folder
    return None


def _help(task: ExistingCluster, folder: Path, reporter: Reporter) -> Path | None:
    """Helps until a training's directory is gone; returns what became of it."""
    job, file = TrainingJob.read(folder), folder / JOB_FILE
    if not job.prepared.is_dir():
        raise UserError(
            f"{job.prepared}: the prepared data that {file} names are not here; all tasks of a "
            "cluster see the directories of a pipeline under the same names"
        )
    task.help(job.training, file, folder / "logs", lambda: not file.exists(), reporter.tasks)
    return made_of(folder)
