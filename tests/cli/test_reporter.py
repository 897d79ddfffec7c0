import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from tfrec.cli.reporter import ConsoleReporter, show_metrics
from tfrec.stages.artifact import produce
from tfrec.stages.evaluate import EvaluationArtifact
from tfrec.training.processes import TaskStatus


def test_metric_without_a_shopper_to_measure_it_on_prints_as_a_dash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = {
        "model": {
            "all": {"users": 1200, "recall@5": 0.25},
            "new_to_shopper": {"users": 0, "recall@5": math.nan},
        }
    }
    made = produce("evaluate", {}, {}, tmp_path / "evaluate", lambda _: {"metrics": metrics})
    evaluation = EvaluationArtifact(made.path)
    assert evaluation.manifest.summary["metrics"]["model"]["new_to_shopper"]["recall@5"] is None

    show_metrics(SimpleNamespace(evaluation=evaluation))

    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if "model" in line]
    cells = [row.strip("│ ").split("│")[-1].strip() for row in rows]
    assert cells == ["0.2500", "-"]
    assert lines[-2:] == [f"report: {evaluation.report}", f"values: {evaluation.values}"]


def task(name: str, state: str, pid: int | None, restarts: int = 0) -> TaskStatus:
    return TaskStatus(name, state, pid, restarts, 1_500_000_000, Path(f"/logs/{name}.log"))


def test_each_change_of_a_process_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    chief = task("chief-0", "running", 11)
    with ConsoleReporter() as reporter:
        reporter.stage("train")
        for states in (
            [chief, task("worker-0", "running", 12)],
            [chief, task("worker-0", "running", 12)],
            [chief, task("worker-0", "was killed by SIGKILL; starts again in 1 s", None)],
            [chief, task("worker-0", "running", 13, restarts=1)],
        ):
            reporter.tasks(states)

    assert capsys.readouterr().out.splitlines()[:-1] == [
        "train: chief-0: running; log /logs/chief-0.log",
        "train: worker-0: running; log /logs/worker-0.log",
        "train: worker-0: was killed by SIGKILL; starts again in 1 s; log /logs/worker-0.log",
        "train: worker-0: running; log /logs/worker-0.log",
    ]


def test_processes_stand_in_a_table_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    with ConsoleReporter() as reporter:
        reporter.stage("train")
        reporter.tasks([task("chief-0", "running", 11), task("ps-0", "hung for 9 s", 12, 2)])
        reporter.progress("training", 1, 3)

    shown = capsys.readouterr().out
    (row,) = {line for line in shown.splitlines() if "ps-0" in line}
    assert [cell.strip() for cell in row.strip("│ ").split("│")] == [
        "ps-0", "hung for 9 s", "12", "2", "1.50 GB",
    ]  # fmt: skip
    assert "logs: /logs" in shown
    assert "train: chief-0" not in shown
