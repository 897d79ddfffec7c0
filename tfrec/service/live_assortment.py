"""An assortment that follows its files while the service runs."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from apache_beam.io.filesystems import FileSystems

from tfrec.data.catalogue import Catalogue
from tfrec.data.sources import find_files
from tfrec.service.assortment import SOURCE, Assortment, AssortmentConfig

_Stamps = tuple[tuple[str, int, float], ...]

_log = logging.getLogger(__name__)


class LiveAssortment:
    """An assortment that follows its files: a thread looks after them and reads what has changed.

    A file that cannot be read leaves what was read before.

    Attributes:
      current: as it was read last.
      fault: why the newest files are not what is `current`; None where they are.
    """

    def __init__(self, config: AssortmentConfig | None, catalogue: Catalogue) -> None:
        """Reads the table for the first time; see `Assortment.read`."""
        self._config, self._catalogue = config, catalogue
        self._stamps = _stamps(config)
        self.current = Assortment.read(config, catalogue)
        self.fault: str | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def check(self) -> bool:
        """Reads the table anew if a file of it has changed, and returns whether it did."""
        with self._faults():
            stamps = _stamps(self._config)
            if stamps == self._stamps:
                return False
            self.current = Assortment.read(self._config, self._catalogue)
            self._stamps, self.fault = stamps, None
            _log.info("assortment: read anew: %d items", self.current.known)
            return True
        return False

    def start(self) -> None:
        """Begins to look after the files."""
        if self._config is not None and self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="assortment", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Ends it."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        assert self._config is not None
        while not self._stop.wait(self._config.refresh):
            self.check()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a thread that ends would never look again
            fault = str(error) or type(error).__name__
            if fault != self.fault:
                _log.warning("assortment: as it was before: %s", fault)
            self.fault = fault


def _stamps(config: AssortmentConfig | None) -> _Stamps:
    """Path, size and time of each file."""
    if config is None:
        return ()
    files = find_files(SOURCE, config.source)
    matches = FileSystems.match(files)
    return tuple(
        (file.path, file.size_in_bytes, file.last_updated_in_seconds)
        for match in matches
        for file in match.metadata_list
    )
