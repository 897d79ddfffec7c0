"""The benchmarks that try what must not happen to a server, in short."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def last_line(*arguments: object) -> dict[str, Any]:
    """What a script prints at its end, once it has found nothing wrong."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=850
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    return json.loads(done.stdout.splitlines()[-1])


def test_no_request_is_lost_to_swaps_and_stops() -> None:
    counts = last_line(BENCHMARKS / "reliability.py", "--quick")

    assert counts["swaps"]["answers"] > 0
    assert counts["killed"] == {**counts["killed"], "requests": 4, "unclean": 0}
    assert counts["drained"] == {"answered": 4, "lost": 0, "refused": 2, "exit_status": 0}


def test_inputs_that_are_wrong_get_documented_answers() -> None:
    counts = last_line(BENCHMARKS / "fuzz.py", "--inputs", 600)

    assert counts["inputs"] >= 600
    assert counts["grpc INVALID_ARGUMENT"] > 0
    assert counts["rest 400"] > 0
