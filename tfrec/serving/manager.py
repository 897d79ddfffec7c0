"""Which versions of which models are loaded, and since when."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tfrec.errors import UserError
from tfrec.serving.servable import Servable
from tfrec.serving.status import ServingError, VersionStatus
from tfrec.serving.warmup import warm_up

logger = logging.getLogger(__name__)


class Lease(NamedTuple):
    """A version that stays loaded while a request runs on it."""

    version: int
    servable: Servable


class ModelManager:
    """Watches a base path per model and keeps its newest version loaded.

    A version is a directory whose name parses as int64. A newer one is loaded and warmed up before
    the older one is dropped; requests that run on the older one finish there.
    """

    def __init__(
        self,
        models: Mapping[str, Path],
        *,
        file_system_poll_wait_seconds: float = 1.0,
        max_num_load_retries: int = 5,
        load_retry_interval_seconds: float = 60.0,
    ) -> None:
        """Names what to watch; nothing happens before `start`.

        Args:
          models: base path of each model by its name.
          file_system_poll_wait_seconds: time between two looks at a base path.
          max_num_load_retries: how often a version that failed to load is tried again.
          load_retry_interval_seconds: time between a failure and the next try.

        Raises:
          UserError: if the time between two looks is not positive.
        """
        if file_system_poll_wait_seconds <= 0:
            raise UserError(
                f"file_system_poll_wait_seconds: {file_system_poll_wait_seconds} is not positive;"
                " give the seconds between two looks for new versions, e.g. 1"
            )
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._poll_wait_seconds = file_system_poll_wait_seconds
        retry = _Retry(max_num_load_retries, load_retry_interval_seconds)
        self._models = {
            name: _Model(name, Path(path), self._changed, retry) for name, path in models.items()
        }
        self._threads = [
            threading.Thread(target=self._watch, args=(model,), name=f"watch-{name}", daemon=True)
            for name, model in self._models.items()
        ]

    def start(self) -> None:
        """Starts watching and waits until every model has a version to serve.

        A base path that is missing or empty is waited for, until `stop` is called.

        Raises:
          UserError: if the first version of a model fails to load.
        """
        for thread in self._threads:
            thread.start()
        with self._changed:
            self._changed.wait_for(self._settled)
            failure = self._failure()
        if failure is not None:
            self.stop()
            raise failure

    def stop(self) -> None:
        """Ends the watching, waits for running requests and unloads every version."""
        with self._changed:
            self._stopping.set()
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        for model in self._models.values():
            model.unload_all()

    @contextmanager
    def lease(self, name: str, version: int | None = None, label: str = "") -> Iterator[Lease]:
        """Keeps a version loaded for the length of a `with` block.

        Args:
          name: the model.
          version: which version; None means the newest that is available.
          label: a name for a version. No label is known yet.

        Yields:
          The version's number and its servable.

        Raises:
          ServingError: if there is no such model or version.
        """
        if not name:
            raise ServingError("INVALID_ARGUMENT", "ModelSpec has no name specified.")
        if label:
            raise ServingError("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
        model = self._models.get(name)
        record = model.acquire(version) if model else None
        if model is None or record is None or record.servable is None:
            wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise ServingError("NOT_FOUND", f"Servable not found for request: {wanted}")
        try:
            yield Lease(record.version, record.servable)
        finally:
            model.release(record)

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

    def _settled(self) -> bool:
        everywhere = all(model.acquirable(None) for model in self._models.values())
        return everywhere or self._stopping.is_set() or self._failure() is not None

    def _failure(self) -> UserError | None:
        failures = (model.failure() for model in self._models.values())
        return next((failure for failure in failures if failure is not None), None)

    def _watch(self, model: "_Model") -> None:
        while not self._stopping.is_set():
            try:
                model.poll(time.monotonic())
            except Exception:
                logger.exception("model %s: looking for versions failed", model.name)
            self._stopping.wait(self._poll_wait_seconds)


class _Retry(NamedTuple):
    times: int
    interval_seconds: float


@dataclass
class _Record:
    """One version since it was first seen."""

    version: int
    state: str = "START"
    error: ServingError | None = None
    servable: Servable | None = None
    users: int = 0
    failures: int = 0
    retry_at: float = 0.0

    def status(self) -> VersionStatus:
        if self.error is None:
            return VersionStatus(self.version, self.state)
        return VersionStatus(self.version, self.state, self.error.code, self.error.message)


class _Model:
    """The versions of one model. `poll` runs in one thread, everything else in any."""

    def __init__(
        self, name: str, base_path: Path, changed: threading.Condition, retry: _Retry
    ) -> None:
        self.name = name
        self._base_path = base_path
        self._changed = changed
        self._retry = retry
        self._records: dict[int, _Record] = {}
        self._told = ""

    def poll(self, now: float) -> None:
        """Looks at the base path once, and loads and unloads what has changed."""
        try:
            paths = _version_directories(self._base_path)
        except OSError as error:
            self._tell(f"waiting: the base path cannot be read: {error}")
            return
        if not paths:
            self._tell(f"waiting: {self._base_path} holds no version; write one to <base path>/1")
        for version, record in self._records.items():
            if version not in paths:
                record.failures, record.retry_at = 0, 0.0
        newest = max(paths, default=None)
        if newest is not None and self._wants_load(newest, now):
            self._load(newest, paths[newest], now)
        self._unload_others(newest)

    def failure(self) -> UserError | None:
        """Why there is nothing to serve, if it is because a load failed."""
        failed = [record for record in self._records.values() if record.error]
        if self.acquirable(None) is not None or not failed:
            return None
        return UserError(f"model {self.name}: no version could be loaded: {failed[-1].error}")

    def acquire(self, version: int | None) -> _Record | None:
        with self._changed:
            record = self.acquirable(version)
            if record is not None:
                record.users += 1
            return record

    def release(self, record: _Record) -> None:
        with self._changed:
            record.users -= 1
            if record.users == 0 and record.state == "UNLOADING":
                self._changed.notify_all()

    def acquirable(self, version: int | None) -> _Record | None:
        available = [r for r in self._records.values() if r.state == "AVAILABLE"]
        if version is not None:
            available = [record for record in available if record.version == version]
        return max(available, key=lambda record: record.version, default=None)

    def statuses(self) -> list[VersionStatus]:
        with self._changed:
            newest_first = sorted(self._records, reverse=True)
            return [self._records[version].status() for version in newest_first]

    def unload_all(self) -> None:
        self._unload_others(None)

    def _wants_load(self, version: int, now: float) -> bool:
        record = self._records.get(version)
        if record is None:
            return True
        if record.error is None:
            return record.state == "END"
        return record.failures <= self._retry.times and now >= record.retry_at

    def _load(self, version: int, path: Path, now: float) -> None:
        record = self._records.get(version) or _Record(version)
        record.error = None
        self._set(record, "LOADING")
        started = time.monotonic()
        try:
            record.servable = load_servable(path)
        except ServingError as error:
            logger.error("model %s: version %d failed to load: %s", self.name, version, error)
            record.error = error
        except Exception as error:
            logger.exception("model %s: version %d failed to load", self.name, version)
            record.error = ServingError("INTERNAL", f"{path}: {error}")
        if record.error is not None:
            record.failures += 1
            record.retry_at = now + self._retry.interval_seconds
            self._set(record, "END")
            return
        self._set(record, "AVAILABLE")
        seconds = time.monotonic() - started
        self._tell(f"version {version} is available, loaded in {seconds:.1f} s from {path}")

    def _unload_others(self, aspired: int | None) -> None:
        """Drops every other version, unless nothing has come to take its place."""
        if aspired is not None and self._records[aspired].state != "AVAILABLE":
            return
        for record in list(self._records.values()):
            if record.version != aspired and record.state == "AVAILABLE":
                self._unload(record)

    def _unload(self, record: _Record) -> None:
        self._set(record, "UNLOADING")
        with self._changed:
            self._changed.wait_for(lambda: record.users == 0)
        assert record.servable is not None
        record.servable.close()
        record.servable = None
        self._set(record, "END")
        logger.info("model %s: version %d is unloaded", self.name, record.version)

    def _set(self, record: _Record, state: str) -> None:
        with self._changed:
            self._records[record.version] = record
            record.state = state
            self._changed.notify_all()

    def _tell(self, message: str) -> None:
        """Logs what has not just been logged, as this is asked at every poll."""
        if message != self._told:
            logger.info("model %s: %s", self.name, message)
            self._told = message


def load_servable(path: Path) -> Servable:
    """Loads a version directory and runs its warm-up records."""
    servable = Servable.load(path)
    try:
        count = warm_up(servable)
    except BaseException:
        servable.close()
        raise
    logger.debug("%s: %d warm-up records run", path, count)
    return servable


def _version_directories(base_path: Path) -> dict[int, Path]:
    directories = [child for child in base_path.iterdir() if child.is_dir()]
    numbered = {_version_number(child.name): child for child in sorted(directories)}
    return {version: child for version, child in numbered.items() if version is not None}


def _version_number(name: str) -> int | None:
    digits = name.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return None
    number = int(name)
    return number if -(2**63) <= number < 2**63 else None
