import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from tfrec.cli.reporter import show_metrics
from tfrec.stages.artifact import produce


def test_metric_without_a_shopper_to_measure_it_on_prints_as_a_dash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = {
        "model": {
            "all": {"users": 1200, "recall@5": 0.25},
            "new_to_shopper": {"users": 0, "recall@5": math.nan},
        }
    }
    evaluation = produce("evaluate", {}, {}, tmp_path / "evaluate", lambda _: {"metrics": metrics})
    assert evaluation.manifest.summary["metrics"]["model"]["new_to_shopper"]["recall@5"] is None

    show_metrics(SimpleNamespace(evaluation=evaluation))

    rows = [line for line in capsys.readouterr().out.splitlines() if "model" in line]
    cells = [row.strip("│ ").split("│")[-1].strip() for row in rows]
    assert cells == ["0.2500", "-"]
