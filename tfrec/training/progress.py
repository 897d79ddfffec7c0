"""How far training is, told while it runs."""

import collections
import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

_REPORT_SECONDS = 1.0
_RATE_REPORTS = 10


@dataclass(frozen=True)
class Progress:
    """How far training is.

    Attributes:
      step: steps done.
      steps: steps in all.
      examples_per_second: over the last seconds.
      loss: mean of the running epoch so far; before its first step, that of the epoch before.
      worker_steps: steps of each worker of a cluster; empty without one.
      warning: what went wrong meanwhile without ending training.
    """

    step: int
    steps: int
    examples_per_second: float
    loss: float | None
    worker_steps: tuple[int, ...] = ()
    warning: str | None = None


class Reporting:
    """Reports from a thread of its own, while it is entered as a context.

    A coordinator allows no callback between its steps.
    """

    def __init__(
        self,
        batch_size: int,
        look: Callable[[], Progress],
        report: Callable[[Progress], None],
    ) -> None:
        """Calls `report` about once a second.

        Args:
          batch_size: examples of a step.
          look: tells all but the rate.
          report: is told all.
        """
        self._batch_size, self._look, self._report = batch_size, look, report
        self._recent = collections.deque([(time.monotonic(), look().step)], maxlen=_RATE_REPORTS)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Reporting":
        """Begins to report."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Reports a last time, unless training failed."""
        self._done.set()
        self._thread.join()
        if kind is None:
            self._tell()

    def _run(self) -> None:
        while not self._done.wait(_REPORT_SECONDS):
            # A lost server breaks training too, which says so.
            with contextlib.suppress(tf.errors.OpError):
                self._tell()

    def _tell(self) -> None:
        seen = self._look()
        self._recent.append((time.monotonic(), seen.step))
        (began, first), (now, last) = self._recent[0], self._recent[-1]
        rate = (last - first) * self._batch_size / max(now - began, 1e-9)
        self._report(dataclasses.replace(seen, examples_per_second=rate))
