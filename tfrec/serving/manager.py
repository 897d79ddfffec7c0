"""Which models are served, and the hold that a request has on a version of one."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tfrec.errors import UserError
from tfrec.serving.model_config import ModelConfig
from tfrec.serving.model_versions import ModelVersions, Retry, VersionRecord, load_servable
from tfrec.serving.servable import Servable
from tfrec.serving.status import ServingError, VersionStatus

logger = logging.getLogger(__name__)


class Lease:
    """A version that stays loaded for the length of a `with` block.

    Attributes:
      version: its number.
      servable: what to run.
    """

    __slots__ = ("_model", "_record", "servable", "version")

    def __init__(self, model: ModelVersions, record: VersionRecord, servable: Servable) -> None:
        """Takes over what `model.acquire` returned."""
        self._model = model
        self._record = record
        self.version = record.version
        self.servable = servable

    def __enter__(self) -> "Lease":
        """Does nothing: the version is already held."""
        return self

    def __exit__(self, *_: object) -> None:
        """Lets go of the version."""
        self._model.release(self._record)


class ModelManager:
    """Keeps models loaded: of each, the versions that its policy picks from its base path.

    A version is a directory whose name parses as int64. Models and labels can be replaced while
    requests run.
    """

    def __init__(
        self,
        models: Iterable[ModelConfig] = (),
        *,
        load: Callable[[Path], Servable] = load_servable,
        file_system_poll_wait_seconds: float = 1.0,
        max_num_load_retries: int = 5,
        load_retry_interval_seconds: float = 60.0,
        allow_version_labels_for_unavailable_models: bool = False,
    ) -> None:
        """Says what to serve; nothing happens before `start`.

        Args:
          models: what to serve at first.
          load: loads a version directory and warms it up.
          file_system_poll_wait_seconds: time between two looks at a base path; 0 looks once.
          max_num_load_retries: how often a version that failed to load is tried again.
          load_retry_interval_seconds: time between a failure and the next try.
          allow_version_labels_for_unavailable_models: lets a label that is not in use point to a
            version that is not loaded.

        Raises:
          UserError: if the time between two looks is negative.
        """
        if file_system_poll_wait_seconds < 0:
            raise UserError(
                f"file_system_poll_wait_seconds: {file_system_poll_wait_seconds} is negative; give"
                " the seconds between two looks for new versions, e.g. 1, or 0 for one look"
            )
        self._first_models = tuple(models)
        self._load = load
        self._poll_wait_seconds = file_system_poll_wait_seconds
        self._retry = Retry(max_num_load_retries, load_retry_interval_seconds)
        self._labels_may_wait = allow_version_labels_for_unavailable_models
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._configuring = threading.Lock()
        self._models: dict[str, ModelVersions] = {}
        self._labels: dict[str, Mapping[str, int]] = {}
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Starts serving and waits until every model has a version that is available.

        A base path that is missing or empty is waited for, until `stop` is called.

        Raises:
          UserError: if the first versions of a model fail to load, or a label is refused.
        """
        if self._stopping.is_set():
            return
        try:
            added = self.apply(self._first_models)
        except ServingError as error:
            raise UserError(
                f"{error}; allow_version_labels_for_unavailable_models admits labels before their"
                " versions are loaded"
            ) from error
        failures = self._wait_for(added, None)
        if failures:
            self.stop()
            raise UserError(
                "; ".join(
                    f"model {name}: no version could be loaded: {failed.error_code}:"
                    f" {failed.error_message}"
                    for name, failed in failures.items()
                )
            )

    def apply(self, models: Sequence[ModelConfig]) -> list[str]:
        """Serves these models and no others from now on; what is to be loaded follows.

        A model that is configured as before is left alone.

        Args:
          models: the whole list.

        Returns:
          The names of those that were not served until now.

        Raises:
          ServingError: if a label is refused, and then nothing has changed.
        """
        with self._configuring:
            if self._stopping.is_set():
                raise ServingError("UNAVAILABLE", "The server is stopping.")
            for config in models:
                self._check_labels(config)
            added = [config.name for config in models if not self._is_configured(config.name)]
            self._labels = {config.name: config.labels for config in models}
            for name in self._models.keys() - {config.name for config in models}:
                self._models[name].configure(None)
            for config in models:
                self._versions(config.name).configure(config)
        return added

    def reload(self, models: Sequence[ModelConfig], timeout_seconds: float | None = None) -> None:
        """Does as `apply`, and waits until the models that are new can be asked.

        Args:
          models: the whole list.
          timeout_seconds: how long to wait at most; None sets no limit.

        Raises:
          ServingError: if a label is refused, and then nothing has changed; or a new model fails
            to load, or not all are loaded in time.
        """
        failures = self._wait_for(self.apply(models), timeout_seconds)
        if self._stopping.is_set():
            raise ServingError("UNAVAILABLE", "The server is stopping.")
        if failures:
            told = "".join(
                f"{{{{name: {name} version: {failed.version}}} due to error: {failed.error_code}:"
                f" {failed.error_message}}}, "
                for name, failed in failures.items()
            )
            raise ServingError(
                "UNKNOWN", f"{len(failures)} model(s) did not become available: {{{told}}}"
            )

    def begin_stop(self) -> None:
        """Ends the watching and all waiting for models; what is loaded stays so until `stop`."""
        with self._configuring, self._changed:
            self._stopping.set()
            self._changed.notify_all()
        for model in self._models.values():
            model.wake()

    def stop(self) -> None:
        """Waits for running requests and unloads every version."""
        self.begin_stop()
        for thread in self._threads:
            thread.join()
        for model in self._models.values():
            model.unload_all()

    def lease(self, name: str, version: int | None = None, label: str = "") -> Lease:
        """Keeps a version loaded, until the end of the `with` block that this has to begin.

        Args:
          name: the model.
          version: which version; None means the newest that is available.
          label: what the configuration calls the version, instead of `version`.

        Returns:
          The version's number and its servable.

        Raises:
          ServingError: if there is no such model, version or label.
        """
        if not name:
            raise ServingError("INVALID_ARGUMENT", "ModelSpec has no name specified.")
        if label:
            version = self._labelled(name, label)
        model = self._models.get(name)
        record = model.acquire(version) if model else None
        if model is None or record is None or record.servable is None:
            wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise ServingError("NOT_FOUND", f"Servable not found for request: {wanted}")
        return Lease(model, record, record.servable)

    def statuses(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """The states of a model's versions, also of those that have ended.

        Args:
          name: the model.
          version: one version only; None means all.

        Returns:
          One status a version, newest first.

        Raises:
          ServingError: if no such version has been seen.
        """
        known = self._models[name].statuses() if name in self._models else []
        if version is None:
            if not known:
                raise ServingError("NOT_FOUND", f"Could not find any versions of model {name}")
            return known
        found = [status for status in known if status.version == version]
        if not found:
            raise ServingError("NOT_FOUND", f"Could not find version {version} of model {name}")
        return found

    def _is_configured(self, name: str) -> bool:
        return name in self._models and self._models[name].configured

    def _versions(self, name: str) -> ModelVersions:
        if name not in self._models:
            model = ModelVersions(
                name, self._changed, self._load, self._poll_wait_seconds, self._retry
            )
            thread = threading.Thread(
                target=model.watch, args=(self._stopping,), name=f"watch-{name}", daemon=True
            )
            # Requests look models up without a lock.
            self._models = {**self._models, name: model}
            self._threads.append(thread)
            thread.start()
        return self._models[name]

    def _wait_for(
        self, names: Sequence[str], timeout_seconds: float | None
    ) -> dict[str, VersionStatus]:
        """Waits until each model has a version to serve or any has failed; tells the failures."""
        models = [self._models[name] for name in names]

        def failures() -> dict[str, VersionStatus]:
            failed = {model.name: model.failure() for model in models}
            return {name: status for name, status in failed.items() if status is not None}

        def settled() -> bool:
            ready = all(model.find(None) or not model.configured for model in models)
            return ready or self._stopping.is_set() or bool(failures())

        if timeout_seconds is not None:
            timeout_seconds = min(timeout_seconds, threading.TIMEOUT_MAX)
        with self._changed:
            if not self._changed.wait_for(settled, timeout_seconds):
                raise ServingError("DEADLINE_EXCEEDED", "Deadline Exceeded")
            return failures()

    def _check_labels(self, config: ModelConfig) -> None:
        in_use = self._labels.get(config.name, {})
        for label, version in config.labels.items():
            moves = in_use.get(label, version) != version
            if self._labels_may_wait and not moves:
                continue
            model = self._models.get(config.name)
            with self._changed:
                available = model is not None and model.find(version) is not None
            if not available:
                raise ServingError(
                    "FAILED_PRECONDITION",
                    f"Request to assign label to version {version} of model {config.name}, which"
                    " is not currently available for inference",
                )

    def _labelled(self, name: str, label: str) -> int:
        version = self._labels.get(name, {}).get(label)
        if version is None:
            raise ServingError("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
        return version
