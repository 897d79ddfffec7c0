"""One trial of a tuning: a config, trained and measured on the validation part."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfrec.config import validate
from tfrec.data.prepared import VALIDATION
from tfrec.errors import UserError
from tfrec.evaluation.config import EvaluationConfig
from tfrec.stages.artifact import Artifact
from tfrec.stages.evaluate import MODEL, evaluate
from tfrec.stages.experiment import ExperimentConfig
from tfrec.stages.index import ItemIndex, index
from tfrec.stages.reporter import Reporter
from tfrec.stages.train import TrainedModel, train
from tfrec.stages.tune_config import TuningConfig
from tfrec.training.epoch_log import read_epochs

if TYPE_CHECKING:
    from tfrec.training.processes import TaskStatus

_LEAST_RESAMPLES = 100


def protocol_of(evaluation: EvaluationConfig, tuning: TuningConfig) -> EvaluationConfig:
    """The protocol of a trial: the config's, with one metric and the model alone."""
    changes = {
        "metrics": [tuning.metric],
        "baselines": [],
        "bless": [],
        "resamples": _LEAST_RESAMPLES,
    }
    content = evaluation.model_dump(mode="json") | changes
    return validate(EvaluationConfig, content, "tuning.metric: evaluation")


def run_trial(
    config: ExperimentConfig,
    tuning: TuningConfig,
    prepared: Artifact,
    folder: Path,
    reporter: Reporter,
) -> float:
    """Trains, indexes and measures a config on the validation part.

    Args:
      config: with the trial's values.
      tuning: what to measure.
      prepared: prepared data, which all trials share.
      folder: directory of the trial's artefacts; a training cut short there goes on.
      reporter: hears of progress; what it raises ends the trial.

    Returns:
      The mean of the metric over the shoppers of the slice.

    Raises:
      UserError: if a stage fails or the slice has no such mean.
    """
    trained = train(
        config.training, config.model, config.features, prepared, folder / "train", reporter
    )
    indexed = index(config.index, prepared, trained, folder / "index", reporter)
    protocol = protocol_of(config.evaluation, tuning)
    output = folder / "evaluate"
    measured = evaluate(
        protocol, prepared, trained, indexed, output, reporter, VALIDATION, page=False
    )
    (measure,) = protocol.measures
    figures = measured.manifest.summary["metrics"][MODEL][tuning.slice]
    value = figures[protocol.title(measure)]
    if value is None:
        raise UserError(
            f"tuning.slice: {tuning.slice} has {figures['users']} shoppers in the validation part "
            f"to measure {measure} on, and evaluation.min_users is {protocol.min_users}"
        )
    return value


def report_trial(
    config: ExperimentConfig,
    tuning: TuningConfig,
    prepared: Artifact,
    folder: Path,
    reporter: Reporter,
) -> Path:
    """Measures a finished trial again, for the report of it; see `run_trial`.

    Returns:
      The page.
    """
    protocol = protocol_of(config.evaluation, tuning)
    trained, indexed = TrainedModel(folder / "train"), ItemIndex(folder / "index")
    output = folder / "evaluate"
    return evaluate(protocol, prepared, trained, indexed, output, reporter, VALIDATION).report


class TrialReporter(Reporter):
    """Passes on what a trial's stages tell, and the validation loss of each epoch but the last."""

    def __init__(
        self,
        outer: Reporter,
        title: str,
        folder: Path,
        epoch_ended: Callable[[int, float], None],
    ) -> None:
        """Tells of one trial.

        Args:
          outer: hears of progress.
          title: of the trial, put before what is told.
          folder: directory of the trial's artefacts, where the log of its training grows.
          epoch_ended: is told an epoch's number and its validation loss.
        """
        self._outer, self._title, self._folder = outer, title, folder
        self._epoch_ended, self._told = epoch_ended, 0

    def step(self, what: str) -> None:
        """Passes a step on."""
        self._outer.step(f"{self._title}: {what}")

    def progress(self, what: str, done: int, total: int) -> None:
        """Passes progress on, and looks whether an epoch has ended that is not the last."""
        self._outer.progress(f"{self._title}: {what}", done, total)
        if done == total:
            return  # nothing is saved by ending here
        for log in self._folder.glob(".train-*/training_log.jsonl"):
            for epoch in read_epochs(log)[self._told :]:
                self._told = epoch.epoch
                if epoch.validation_loss is not None:
                    self._epoch_ended(epoch.epoch, epoch.validation_loss)

    def warn(self, what: str) -> None:
        """Passes a warning on."""
        self._outer.warn(f"{self._title}: {what}")

    def tasks(self, tasks: "Sequence[TaskStatus]") -> None:
        """Passes the processes' states on."""
        self._outer.tasks(tasks)
