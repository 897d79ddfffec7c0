"""Following a model config file while it changes."""

import logging
import threading
from pathlib import Path

from tfrec.errors import UserError
from tfrec.serving.manager import ModelManager
from tfrec.serving.model_config import listed_models, read_model_config
from tfrec.serving.status import ServingError

logger = logging.getLogger(__name__)


class ConfigPoller:
    """Has a manager serve what a model config file says, every time that it is read.

    A file that cannot be read or is refused changes nothing and is logged.
    """

    def __init__(self, manager: ModelManager, path: Path, wait_seconds: float) -> None:
        """Starts reading `path` every `wait_seconds`, in a thread of its own."""
        self._manager = manager
        self._path = path
        self._wait_seconds = wait_seconds
        self._told = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="poll-config", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the reading."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._wait_seconds):
            problem = ""
            try:
                self._poll()
            except UserError as error:
                problem = str(error)
            except Exception as error:
                logger.exception("model_config_file %s", self._path)
                problem = str(error)
            if problem and problem != self._told:
                logger.error("the models stay as they are: %s", problem)
            self._told = problem

    def _poll(self) -> None:
        config = read_model_config(self._path)
        if config.WhichOneof("config") is None:
            # Most likely a file that is just being written.
            raise ServingError(
                "FAILED_PRECONDITION",
                "Cannot transition to requested config. It is only legal to transition from one"
                " ModelConfigList to another.",
            )
        self._manager.apply(listed_models(config))
