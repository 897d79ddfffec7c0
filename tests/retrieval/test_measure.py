import numpy as np
import pytest
import tensorflow as tf

from tfrec.retrieval import measure
from tfrec.retrieval.brute_force import BruteForce
from tfrec.retrieval.measure import measure_latency


def test_latency_is_measured_per_query(monkeypatch: pytest.MonkeyPatch) -> None:
    index = BruteForce(tf.eye(4))
    clock = iter(float(second) for second in range(100))
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))

    milliseconds = measure_latency(index, np.eye(4, dtype=np.float32)[:3], k=2)

    assert milliseconds == 1000.0
    assert next(clock) == 2 * (1 + 3)
