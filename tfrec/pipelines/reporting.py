"""Who hears of an executor's progress: TFX makes executors itself and hands them no listener."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tfrec.stages.reporter import Reporter

_LOG = logging.getLogger(__name__)


class LogReporter(Reporter):
    """Writes steps to the log, which Kubeflow shows."""

    def step(self, what: str) -> None:
        """Logs a step."""
        _LOG.info("%s", what)

    def warn(self, what: str) -> None:
        """Logs a warning."""
        _LOG.warning("%s", what)


_REPORTER: ContextVar[Reporter] = ContextVar("reporter")


def reporter() -> Reporter:
    """The listener of this run; the log where there is none."""
    return _REPORTER.get(LogReporter())


@contextmanager
def reporting_to(listener: Reporter) -> Iterator[None]:
    """Lets a listener hear of what executors do in this process."""
    token = _REPORTER.set(listener)
    try:
        yield
    finally:
        _REPORTER.reset(token)
