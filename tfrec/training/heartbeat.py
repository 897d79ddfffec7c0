"""Signs of life in a file, which processes of other machines look at."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HEARTBEAT = "heartbeat"
"""The file's name in the folder of what is at work."""

_BEAT_SECONDS = 2.0
_ENDED = "ended"


@contextmanager
def beating(file: Path) -> Iterator[None]:
    """Gives signs of life from now on; the file is removed at the end.

    Args:
      file: where.
    """
    done = threading.Event()

    def beat() -> None:
        while True:
            with suppress(OSError):  # a disk may be away for a moment
                file.write_text(str(time.time_ns()))
            if done.wait(_BEAT_SECONDS):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        file.unlink(missing_ok=True)


def say_ended(file: Path) -> None:
    """Leaves the word that all was done, which lasts until somebody beats there again.

    Args:
      file: where the signs of life were.
    """
    file.write_text(f"{_ENDED} {time.time_ns()}")


class Heartbeat:
    """What is heard of a process, by this machine's clock alone.

    What was there at first says nothing: whoever wrote it may have been killed.

    Attributes:
      file: where its signs of life are.
    """

    def __init__(self, file: Path) -> None:
        """Begins to listen."""
        self.file, self._heard = file, False
        self._last, self._moment = self._read(), time.monotonic()

    @property
    def heard(self) -> bool:
        """Whether there was a sign of life since this began to listen."""
        self._listen()
        return self._heard

    @property
    def silent_seconds(self) -> float:
        """Time since the last sign of life, or since this began to listen."""
        self._listen()
        return time.monotonic() - self._moment

    @property
    def has_ended(self) -> bool:
        """Whether the last sign was `say_ended`."""
        return self.heard and self._last.startswith(_ENDED)

    def _listen(self) -> None:
        word = self._read()
        if word not in ("", self._last):
            self._last, self._moment, self._heard = word, time.monotonic(), True

    def _read(self) -> str:
        try:
            return self.file.read_text()
        except OSError:
            return ""
