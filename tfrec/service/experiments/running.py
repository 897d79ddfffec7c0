"""The experiments that run now: which arm a shopper is in, and what that means."""

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np

from tfrec.config import read_yaml, validate
from tfrec.errors import UserError
from tfrec.service import metrics
from tfrec.service.api import Scenario
from tfrec.service.events import ANONYMOUS
from tfrec.service.experiments.buckets import arm_of, seed_of
from tfrec.service.experiments.config import Experiment, ExperimentsConfig, RunningFile
from tfrec.service.experiments.label import read_label
from tfrec.service.experiments.variants import (
    NOBODY,
    Arms,
    Build,
    FlowT,
    Variant,
    make_variants,
    on_shelf,
)
from tfrec.service.flow.config import FlowConfig
from tfrec.service.intake import Verdict

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0


class Experiments(Generic[FlowT]):
    """Divides shoppers into arms; the file that says which is read again when it changes.

    A file that is broken changes nothing: the experiments of before go on, and `problem` says
    what is wrong with it.

    Example:
      >>> experiments = Experiments(config.experiments, config.flow, build)
      >>> variant = experiments.assign("2375", None, "home")
      >>> random = partial(experiments.random, request_id)
      >>> if variant.teams:
      ...     one, other = (ranking_of(team.flow) for team in variant.teams)
      ...     dealt = interleave(one, other, k, random())
      ... else:
      ...     ranking = ranking_of(variant.flow)  # `depth(variant.exploration, k)` items of it
      ...     draw = explore(variant.exploration, len(ranking), k, random)
    """

    def __init__(self, config: ExperimentsConfig, flow: FlowConfig, build: Build[FlowT]) -> None:
        """Reads the experiments.

        Args:
          config: where they are.
          flow: of shoppers in no experiment.
          build: makes a flow of its config, also in another thread when the file has changed.

        Raises:
          UserError: if they cannot be as they are.
        """
        self._config, self._flow, self._build = config, flow, build
        self._one, self._problem = threading.Lock(), ""
        self._seen = self._stamp()
        self._now = self._read()
        self._closed = threading.Event()
        self._watcher: threading.Thread | None = None
        if config.file:
            self._watcher = threading.Thread(target=self._watch, name="experiments", daemon=True)
            self._watcher.start()

    @property
    def problem(self) -> str:
        """What is wrong with the file as it is now; empty where nothing is."""
        return self._problem

    def assign(self, user: str | None, session: str | None, scenario: Scenario) -> Variant[FlowT]:
        """What a shopper gets; always the same, until the experiments change.

        Who is neither known nor in a session is in no experiment.
        """
        now = self._now
        visitor = _visitor(user, session)
        arms = NOBODY if visitor is None else _arms(now.on_shelf[scenario], visitor)
        return now.variants[scenario][arms]

    def arms(self, user: str | None, session: str | None) -> dict[str, str]:
        """The arms that a shopper is in, on whatever shelf: experiment -> arm."""
        visitor = _visitor(user, session)
        return dict(_arms(self._now.running, visitor)) if visitor is not None else {}

    def random(self, request_id: str) -> np.random.Generator:
        """What a slate is drawn with: the same for the same request."""
        seed = seed_of("slate", str(self._config.seed), request_id)
        return np.random.Generator(np.random.PCG64(seed))

    def count(self, rows: Sequence[object], verdicts: Sequence[Verdict]) -> None:
        """Counts events that were taken in, such as clicks, for the arms that showed their items.

        They are those that the event itself names; what is no arm of a running experiment is not
        counted.

        Args:
          rows: as they were sent.
          verdicts: what became of each.
        """
        running = self._now.running
        for row, verdict in zip(rows, verdicts, strict=True):
            if verdict.status != "accepted" or not isinstance(row, dict) or not row.get("arm"):
                continue
            for experiment, arm in read_label(str(row["arm"])).items():
                if experiment in running and arm in running[experiment].arms:
                    metrics.count_outcome(experiment, arm, str(row["type"]))

    def refresh(self) -> bool:
        """Reads the file again if it has changed, and returns whether new experiments run."""
        with self._one:
            stamp = self._stamp()
            if stamp == self._seen:
                return False
            self._seen = stamp
            try:
                now = self._read()
            except UserError as error:
                self._problem = str(error)
                logger.error("the experiments of before go on: %s", error)
                metrics.note_reload(False)
                return False
            self._now, self._problem = now, ""
            logger.info("experiments: %s", ", ".join(now.running) or "none")
            metrics.note_reload(True)
            return True

    def close(self) -> None:
        """Stops looking at the file."""
        self._closed.set()
        if self._watcher:
            self._watcher.join()

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS):
            self.refresh()

    def _read(self) -> "_Now[FlowT]":
        file = self._config.file
        if file is None:
            return self._made(self._config.running)
        content = read_yaml(file)
        try:
            return self._made(validate(RunningFile, content).experiments)
        except UserError as error:
            raise UserError(f"{file}: {error}") from None

    def _made(self, running: Mapping[str, Experiment]) -> "_Now[FlowT]":
        variants = make_variants(running, self._flow, self._config.exploration, self._build)
        return _Now(running, {shelf: on_shelf(running, shelf) for shelf in variants}, variants)

    def _stamp(self) -> tuple[int, ...] | None:
        """Changes when the file does."""
        if self._config.file is None:
            return None
        try:
            found = self._config.file.stat()
        except OSError:
            return ()
        return found.st_ino, found.st_size, found.st_mtime_ns


@dataclass(frozen=True)
class _Now(Generic[FlowT]):
    """What runs; it is changed as a whole."""

    running: Mapping[str, Experiment]
    on_shelf: Mapping[Scenario, Mapping[str, Experiment]]
    variants: Mapping[Scenario, Mapping[Arms, Variant[FlowT]]]


def _visitor(user: str | None, session: str | None) -> str | None:
    """Whom an arm belongs to: the user, or else the session."""
    if user is not None:
        return user
    return None if session is None else ANONYMOUS + session


def _arms(running: Mapping[str, Experiment], visitor: str) -> Arms:
    drawn = (
        (name, arm_of(visitor, one.salt or name, _weights(one), one.traffic))
        for name, one in running.items()
    )
    return tuple((name, arm) for name, arm in drawn if arm is not None)


def _weights(experiment: Experiment) -> dict[str, float]:
    return {name: arm.weight for name, arm in experiment.arms.items()}
