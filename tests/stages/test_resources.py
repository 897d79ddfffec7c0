import numpy as np
import psutil

from tfrec.stages.resources import PeakMemory


def test_peak_is_at_least_what_this_process_holds() -> None:
    held = np.ones(20_000_000, np.uint8)
    resident = psutil.Process().memory_info().rss

    with PeakMemory() as memory:
        held += 1

    assert memory.peak_bytes > 0.9 * resident
