"""How much memory a stage takes."""

import threading
from types import TracebackType

import psutil

_SAMPLE_SECONDS = 0.5


class PeakMemory:
    """Watches the memory of this process and all its descendants together.

    Attributes:
      peak_bytes: the most resident memory seen, sampled twice a second.
    """

    def __init__(self) -> None:
        """Starts watching when entered as a context."""
        self.peak_bytes = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        """Begins to watch."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops watching."""
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while True:
            family = [me, *me.children(recursive=True)]
            self.peak_bytes = max(self.peak_bytes, sum(map(_resident, family)))
            if self._done.wait(_SAMPLE_SECONDS):
                return


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0
