"""Rates of several sides that take turns, so that another program's load falls on all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

Name = TypeVar("Name")
Advance = Callable[[], int]
"""Does some work and returns on how many examples."""


def measure_in_turns(
    sides: Mapping[Name, Advance], rounds: int, seconds: float
) -> dict[Name, list[float]]:
    """Measures each side for some seconds in every round, after one round to warm up.

    Args:
      sides: name -> what to measure.
      rounds: number of measurements of each.
      seconds: least time that one takes.

    Returns:
      Name -> examples per second in each round.
    """
    for advance in sides.values():
        advance()  # traces
        _examples_per_second(advance, seconds)
    rates: dict[Name, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, advance in sides.items():
            rates[name].append(_examples_per_second(advance, seconds))
    return rates


def median_rates(rates: Mapping[str, list[float]]) -> dict[str, float]:
    """Prints each side's rates, and returns their medians."""
    medians = {name: statistics.median(measured) for name, measured in rates.items()}
    for name, measured in rates.items():
        print(
            f"{name:24} {medians[name]:12,.0f} examples/s "
            f"({min(measured):,.0f} to {max(measured):,.0f})",
            flush=True,
        )
    return medians


def _examples_per_second(advance: Advance, seconds: float) -> float:
    started, examples = time.perf_counter(), 0
    while (took := time.perf_counter() - started) < seconds:
        examples += advance()
    return examples / took
