"""A metric by the length of the lists."""

from collections.abc import Sequence

import numpy as np

from tfrec.evaluation.config import Protocol
from tfrec.evaluation.lists import Lists
from tfrec.evaluation.measures import LIST_MEASURES, Items, Measure, measure_shoppers

_STEPS = (1, 2, 3, 5, 7)


def curve_kinds(protocol: Protocol) -> tuple[str, ...]:
    """The kinds of metric that a curve is drawn of: those of what is relevant."""
    kinds = (measure.kind for measure in protocol.measures)
    return tuple(dict.fromkeys(kind for kind in kinds if kind not in LIST_MEASURES))


def cutoffs(protocol: Protocol) -> tuple[int, ...]:
    """Lengths up to the longest list, about evenly spread by ratio; the measured ones are in it."""
    longest = protocol.longest
    spread = {step * 10**power for step in _STEPS for power in range(len(str(longest)))}
    measured = {measure.k for measure in protocol.measures}
    return tuple(sorted({k for k in spread if k < longest} | measured))


def metric_curve(kind: str, lists: Lists, items: Items, lengths: Sequence[int]) -> np.ndarray:
    """Means over the shoppers with something to find: `[lengths]` float64, NaN without one."""
    some = lists.relevant > 0
    if not some.any():
        return np.full(len(lengths), np.nan)
    values = [measure_shoppers(Measure(kind, k), lists, items)[some] for k in lengths]
    return np.array([value.mean() for value in values])
