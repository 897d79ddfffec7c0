"""The versions of one model: which of them are to be served, are, or failed to load."""

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tfrec.serving.changes import Changes
from tfrec.serving.model_config import ModelConfig
from tfrec.serving.monitoring import observe_load
from tfrec.serving.servable import Servable
from tfrec.serving.status import ServingError, VersionStatus
from tfrec.serving.warmup import warm_up

logger = logging.getLogger(__name__)


class Retry(NamedTuple):
    """What is done about a version that failed to load.

    Attributes:
      times: how often it is tried again.
      interval_seconds: time between a failure and the next try.
    """

    times: int
    interval_seconds: float


@dataclass
class VersionRecord:
    """One version since it was first seen."""

    version: int
    state: str = "START"
    error: ServingError | None = None
    servable: Servable | None = None
    users: int = 0
    failures: int = 0
    retry_at: float = 0.0

    def status(self) -> VersionStatus:
        """What others are told of it."""
        if self.error is None:
            return VersionStatus(self.version, self.state)
        return VersionStatus(self.version, self.state, self.error.code, self.error.message)


class ModelVersions:
    """Keeps the versions loaded that a model's policy asks for.

    `watch` runs in a thread of its own, everything else in any. A version is loaded and warmed up
    before another is dropped for it; requests that run on a dropped one finish there.
    """

    def __init__(
        self,
        name: str,
        changed: threading.Condition,
        load: Callable[[Path], Servable],
        poll_wait_seconds: float,
        retry: Retry,
    ) -> None:
        """Describes a model that has no configuration yet.

        Args:
          name: the model's.
          changed: guards the state of all models and is notified of every change.
          load: loads a version directory and warms it up.
          poll_wait_seconds: time between two looks at the base path; 0 looks once at each
            configuration.
          retry: what is done about a version that failed to load.
        """
        self.name = name
        self._changed = changed
        self._load_servable = load
        self._poll_wait_seconds = poll_wait_seconds
        self._retry = retry
        self._changes = Changes()
        self._config: ModelConfig | None = None
        self._woken = threading.Event()
        self._paths: dict[int, Path] = {}
        self._records: dict[int, VersionRecord] = {}
        self._available: dict[int, VersionRecord] = {}
        self._failed: VersionStatus | None = None
        self._told = ""

    @property
    def configured(self) -> bool:
        """Whether the model is among those to serve."""
        return self._config is not None

    def configure(self, config: ModelConfig | None) -> None:
        """Sets what is to be served from now on, None for nothing."""
        with self._changed:
            if config == self._config:
                return
            self._config = config
            self._failed = None
        self.wake()

    def wake(self) -> None:
        """Ends the pause of `watch`."""
        self._woken.set()

    def watch(self, stopping: threading.Event) -> None:
        """Loads and unloads until `stopping` is set and `wake` called."""
        while not stopping.is_set():
            try:
                self._poll()
            except Exception:
                logger.exception("model %s: looking for versions failed", self.name)
            self._woken.wait(self._pause_seconds())
            self._woken.clear()

    def acquire(self, version: int | None) -> VersionRecord | None:
        """Takes hold of a version, the newest for None, that is not unloaded before `release`."""
        with self._changed:
            record = self.find(version)
            if record is not None:
                record.users += 1
            return record

    def release(self, record: VersionRecord) -> None:
        """Lets go of what `acquire` returned."""
        with self._changed:
            record.users -= 1
            if record.users == 0 and record.state == "UNLOADING":
                self._changed.notify_all()

    def find(self, version: int | None) -> VersionRecord | None:
        """An available version, the newest for None; ask while holding `changed`."""
        if self._config is None or not self._available:
            return None
        return self._available.get(max(self._available) if version is None else version)

    def failure(self) -> VersionStatus | None:
        """The newest of the versions whose failed loads left nothing to serve."""
        return self._failed

    def statuses(self) -> list[VersionStatus]:
        """The states of all versions ever seen, newest first."""
        with self._changed:
            newest_first = sorted(self._records, reverse=True)
            return [self._records[version].status() for version in newest_first]

    def unload_all(self) -> None:
        """Waits for running requests and unloads everything, once `watch` has ended."""
        self._unload_others(())

    def _poll(self) -> None:
        """Looks at the base path once, and loads and unloads what has changed."""
        config = self._config
        wanted = self._choose(config)
        for record in self._records.values():
            if record.failures and record.version not in wanted:
                self._give_up(record)
        for version in sorted(wanted, reverse=True):
            if self._wants_load(version):
                self._load(version, self._paths[version])
        self._unload_others(wanted)
        with self._changed:
            if config is self._config:
                self._failed = self._newest_failure(wanted)
                self._changed.notify_all()

    def _choose(self, config: ModelConfig | None) -> set[int]:
        """The versions to serve. A base path that cannot be read changes nothing."""
        if config is None:
            self._paths = {}
            return set()
        try:
            self._paths = _version_directories(config.base_path)
        except OSError as error:
            self._tell(f"waiting: the base path cannot be read: {error}")
            return config.policy.choose(self._paths)
        wanted = config.policy.choose(self._paths)
        if not self._paths:
            self._tell(f"waiting: {config.base_path} holds no version; write one to <base path>/1")
        elif not wanted:
            self._tell(f"waiting: {config.base_path} holds none of the versions to serve")
        return wanted

    def _wants_load(self, version: int) -> bool:
        record = self._records.get(version)
        if record is None:
            return True
        if record.error is None:
            return record.state == "END"
        return record.failures <= self._retry.times and time.monotonic() >= record.retry_at

    def _load(self, version: int, path: Path) -> None:
        record = self._records.get(version) or VersionRecord(version)
        self._set(record, "LOADING")
        started = time.monotonic()
        try:
            record.servable = self._load_servable(path)
            self._changes.attach(record.servable)
        except ServingError as error:
            logger.error("model %s: version %d failed to load: %s", self.name, version, error)
            self._fail(record, path, error)
            return
        except Exception as error:
            logger.exception("model %s: version %d failed to load", self.name, version)
            self._fail(record, path, ServingError("INTERNAL", f"{path}: {error}"))
            return
        seconds = time.monotonic() - started
        observe_load(path, seconds)
        record.error, record.failures = None, 0
        self._set(record, "AVAILABLE")
        self._tell(f"version {version} is available, loaded in {seconds:.1f} s from {path}")

    def _fail(self, record: VersionRecord, path: Path, error: ServingError) -> None:
        observe_load(path, None)
        if record.servable is not None:
            record.servable.close()
            record.servable = None
        record.error = error
        record.failures += 1
        record.retry_at = time.monotonic() + self._retry.interval_seconds
        self._set(record, "LOADING" if record.failures <= self._retry.times else "END")

    def _give_up(self, record: VersionRecord) -> None:
        """A version that is not wanted any more is tried afresh once it is wanted again."""
        record.failures, record.retry_at = 0, 0.0
        self._set(record, "END")

    def _newest_failure(self, wanted: Collection[int]) -> VersionStatus | None:
        failed = [v for v in wanted if v in self._records and self._records[v].error]
        if self._available or not failed:
            return None
        return self._records[max(failed)].status()

    def _pause_seconds(self) -> float | None:
        """Time until the next look or the next try of a failed load, None if there is neither."""
        tries = (record for record in self._records.values() if record.state == "LOADING")
        pauses = [max(0.0, record.retry_at - time.monotonic()) for record in tries]
        if self._poll_wait_seconds > 0:
            pauses.append(self._poll_wait_seconds)
        return min(pauses, default=None)

    def _unload_others(self, wanted: Collection[int]) -> None:
        """Drops every other version, unless nothing has come to take its place."""
        if wanted and not any(version in self._available for version in wanted):
            return
        for version in sorted(set(self._available) - set(wanted)):
            self._unload(self._available[version])

    def _unload(self, record: VersionRecord) -> None:
        self._set(record, "UNLOADING")
        with self._changed:
            self._changed.wait_for(lambda: record.users == 0)
        assert record.servable is not None
        self._changes.detach(record.servable)
        record.servable.close()
        record.servable = None
        self._set(record, "END")
        logger.info("model %s: version %d is unloaded", self.name, record.version)

    def _set(self, record: VersionRecord, state: str) -> None:
        with self._changed:
            self._records[record.version] = record
            record.state = state
            if state == "AVAILABLE":
                self._available[record.version] = record
            else:
                self._available.pop(record.version, None)
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
