"""The benchmark of events, in short."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "events.py"


def test_every_acknowledged_event_outlives_a_kill_and_none_is_there_twice() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--quick"], capture_output=True, text=True, timeout=850
    )

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    counts = json.loads(done.stdout.splitlines()[-1])
    acknowledged = counts["killed"].pop("acknowledged")
    assert counts["killed"] == {"lost": 0, "twice": 0, "store": counts["events"]}
    assert 0 < acknowledged < counts["events"]
