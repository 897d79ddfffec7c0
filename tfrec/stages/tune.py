"""a config with ranges -> the config that does best on the validation part."""

import contextlib
import fcntl
import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import yaml

from tfrec.config import override, validate
from tfrec.data.prepared import TRAIN, VALIDATION, PreparedData, QueryKind
from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.evaluation.config import EvaluationConfig
from tfrec.evaluation.slices import slice_names
from tfrec.models.template import load_template, source_digest
from tfrec.stages.artifact import Artifact
from tfrec.stages.evaluate import EvaluationArtifact
from tfrec.stages.experiment import Experiment, ExperimentConfig
from tfrec.stages.reporter import Reporter
from tfrec.stages.tune_config import Range, TuningConfig, as_yaml
from tfrec.stages.tune_plot import draw_trials
from tfrec.stages.tune_trial import TrialReporter, protocol_of, report_trial, run_trial

if TYPE_CHECKING:
    import optuna

_ERROR, _SECONDS = "error", "seconds"
_CALLS_LEFT_OUT = {"trials", "timeout", "prune"}
"""Settings that say how far a call goes, not what a trial comes to."""

_NOT_DECISIVE = {"tuning", "serving", "pipeline", "runs", "name"}


@dataclass(frozen=True)
class Tuned:
    """The directory of a tuning.

    Attributes:
      path: the directory.
    """

    path: Path

    @property
    def best(self) -> Path:
        """The config with the best values, to be run as any other."""
        return self.path / "best.yaml"

    @property
    def trials(self) -> Path:
        """Parquet table of the trials; see `trial_table`."""
        return self.path / "trials.parquet"

    @property
    def trials_csv(self) -> Path:
        """The same table as text."""
        return self.path / "trials.csv"

    @property
    def plot(self) -> Path:
        """The value by trial, and by each setting."""
        return self.path / "trials.png"

    @property
    def journal(self) -> Path:
        """What Optuna keeps of the trials, of this config and of earlier ones."""
        return self.path / "journal.log"

    def artifacts(self, trial: int) -> Path:
        """Directory of a trial's artefacts; only the best one's are there, unless all are kept."""
        return self.path / "trials" / f"{trial:04d}"

    def report(self, trial: int) -> Path:
        """The page on a trial's evaluation; only the best one has one."""
        return EvaluationArtifact(self.artifacts(trial) / "evaluate").report


def tune(
    content: Mapping[str, Any],
    reporter: Reporter | None = None,
    keep: bool = False,
    prepared: Artifact | None = None,
    output: Path | None = None,
) -> Tuned:
    """Makes trials until there are as many as the config's `tuning` section says.

    The data are prepared once. A trial is trained, indexed and measured on the validation part; the
    test part is not looked at. A call that was cut short is gone on with by the next one of the
    same config, which makes the very trials that the first one would have made.

    Args:
      content: a config file's mapping.
      reporter: hears of progress.
      keep: whether the artefacts of all trials are kept, not only those of the best.
      prepared: prepared data; by default they are made, or found, below `runs`.
      output: directory of the tuning; `runs/NAME/tune` by default.

    Returns:
      The directory.

    Raises:
      UserError: if a range, the metric or the slice does not fit the config or the data, or if no
        trial came to a value.

    Source: Akiba, Sano, Yanase, Ohta and Koyama, Optuna: A Next-generation Hyperparameter
    Optimization Framework, KDD 2019.
    """
    reporter = reporter or Reporter()
    experiment = Experiment(validate(ExperimentConfig, content))
    tuning = experiment.config.tuning
    if tuning is None:
        raise UserError("tuning: missing; add it, e.g. {ranges: {training.epochs: [1, 2, 4]}}")
    _check_ranges(content, tuning.ranges)
    protocol = protocol_of(experiment.config.evaluation, tuning)
    if prepared is None:
        reporter.stage("prepare")
        prepared = experiment.prepare(reporter)
        reporter.stage("tune")
    template, _ = load_template(experiment.config.model)
    _check_measured(tuning, protocol, PreparedData(prepared.path), template.queries)
    tuned = Tuned(output or experiment.config.runs / experiment.config.name / "tune")
    tuned.path.mkdir(parents=True, exist_ok=True)
    with _alone(tuned):
        study = _open_study(tuned, _identity(experiment.config, tuning, prepared))
        if not study.trials:
            shutil.rmtree(tuned.path / "trials", ignore_errors=True)
        _Trials(content, tuning, prepared, tuned, study, reporter, keep).make()
    return tuned


def trial_table(study: "optuna.Study", settings: Mapping[str, Any]) -> pa.Table:
    """What the finished trials of a study came to.

    Args:
      study: the trials.
      settings: dotted names of what was varied.

    Returns:
      Columns: `trial`, from 1; `state`, which is `complete`, `pruned` or `failed`; `value`, null
      without one; `best`, the highest value so far; `seconds`; `error`; and one for each setting,
      in which a choice is as it would be written in YAML.
    """
    finished = [trial for trial in study.trials if trial.state.is_finished()]
    values = [_value(trial) for trial in finished]
    best = np.maximum.accumulate([-math.inf if value is None else value for value in values] or [0])
    columns = {
        "trial": pa.array([trial.number + 1 for trial in finished], pa.int64()),
        "state": pa.array([_state(trial) for trial in finished], pa.string()),
        "value": pa.array(values, pa.float64()),
        "best": pa.array([None if math.isinf(v) else v for v in best[: len(values)]], pa.float64()),
        "seconds": pa.array([trial.user_attrs.get(_SECONDS) for trial in finished], pa.float64()),
        "error": pa.array([trial.user_attrs.get(_ERROR) for trial in finished], pa.string()),
    }
    return pa.table(columns | {n: pa.array([t.params.get(n) for t in finished]) for n in settings})


@dataclass(frozen=True)
class _Trials:
    """The trials of one call."""

    content: Mapping[str, Any]
    tuning: TuningConfig
    prepared: Artifact
    tuned: Tuned
    study: "optuna.Study"
    reporter: Reporter
    keep: bool

    def make(self) -> None:
        """Makes trials until there are enough, or until the time is over."""
        began, wanted = time.monotonic(), self.tuning.trials
        while (done := sum(t.state.is_finished() for t in self.study.trials)) < wanted:
            if self.tuning.timeout and time.monotonic() - began > self.tuning.timeout:
                self.reporter.warn(f"out of time after {done} of {wanted} trials")
                break
            self._finish(self._next())
            self._sweep()
            self._write_table()
        self._conclude()

    def _next(self) -> "optuna.Trial":
        """The trial that was cut short, or else a new one, whose draws follow from its number."""
        import optuna

        trials = self.study.trials
        draws = np.random.SeedSequence([self.tuning.seed, len(trials)]).generate_state(1)
        self.study.sampler = optuna.samplers.TPESampler(seed=int(draws[0]))
        for trial in trials:
            if not trial.state.is_finished():
                # Optuna tells a trial's number only; its own retries use this id, too.
                return optuna.Trial(self.study, trial._trial_id)
        return self.study.ask()

    def _finish(self, trial: "optuna.Trial") -> None:
        """Runs a trial and keeps what came of it."""
        import optuna

        for name, values in self.tuning.ranges.items():
            _suggest(trial, name, values)
        folder = self.tuned.artifacts(trial.number + 1)
        title = f"trial {trial.number + 1} of {self.tuning.trials}"
        reporter = TrialReporter(self.reporter, title, folder, self._pruning(trial))
        began, value = time.monotonic(), None
        try:
            config = validate(ExperimentConfig, override(self.content, _settings(trial.params)))
            value = run_trial(config, self.tuning, self.prepared, folder, reporter)
        except optuna.TrialPruned:
            self.reporter.step(f"{title}: pruned")
        except (UserError, ValueError) as error:  # the latter where scores are NaN
            trial.set_user_attr(_ERROR, str(error))
            self.reporter.warn(f"{title} failed: {error}")
        trial.set_user_attr(_SECONDS, round(time.monotonic() - began, 1))
        if value is None:
            # A failed one is told as pruned, too: Optuna keeps away from where those lie.
            self.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            self.study.tell(trial, value)
            best = f"best {self.study.best_value:.4f}"
            self.reporter.step(f"{title}: {self.tuning.metric} {value:.4f}, {best}")

    def _pruning(self, trial: "optuna.Trial") -> Callable[[int, float], None]:
        """What ends a trial whose validation loss is a bad one at an epoch."""
        import optuna

        reported = self.study.trials[trial.number].intermediate_values

        def epoch_ended(epoch: int, loss: float) -> None:
            if epoch not in reported:
                trial.report(-loss, epoch)
            if self.tuning.prune and trial.should_prune():
                raise optuna.TrialPruned

        return epoch_ended

    def _sweep(self) -> None:
        """Removes the artefacts of all trials but the best one and, for their logs, failed ones."""
        if self.keep:
            return
        best = _best(self.study)
        for trial in self.study.trials:
            if _state(trial) in ("complete", "pruned") and trial != best:
                shutil.rmtree(self.tuned.artifacts(trial.number + 1), ignore_errors=True)

    def _write_table(self) -> pa.Table:
        table = trial_table(self.study, self.tuning.ranges)
        _write(self.tuned.trials, lambda file: pa.parquet.write_table(table, file))
        _write(self.tuned.trials_csv, lambda file: pa.csv.write_csv(table, file))
        return table

    def _conclude(self) -> None:
        table, best = self._write_table(), _best(self.study)
        if best is None:
            errors = [error for error in table["error"].to_pylist() if error]
            last = f"; the last error: {errors[-1]}" if errors else ""
            raise UserError(f"tune: none of {len(table)} trials came to a value{last}")
        what = f"{self.tuning.metric} of {self.tuning.slice}, validation"
        settings = override(self.content, _settings(best.params))
        text = (
            f"# {what}: {best.value:.6g} in trial {best.number + 1}, the best of {len(table)}\n"
            f"{yaml.safe_dump(settings, sort_keys=False)}"
        )
        _write(self.tuned.best, lambda file: file.write_text(text))
        figure = draw_trials(table, self.tuning.ranges, what)
        _write(self.tuned.plot, lambda file: figure.savefig(file))
        chosen, folder = validate(ExperimentConfig, settings), self.tuned.artifacts(best.number + 1)
        report_trial(chosen, self.tuning, self.prepared, folder, self.reporter)


def _check_ranges(content: Mapping[str, Any], ranges: Mapping[str, Range]) -> None:
    """Checks that every range is of a setting that may have its values."""
    for name, values in ranges.items():
        for end in values.ends:
            try:
                Experiment(validate(ExperimentConfig, override(content, {name: as_yaml(end)})))
            except UserError as error:
                raise UserError(f"tuning.ranges: {error}") from None


def _check_measured(
    tuning: TuningConfig, protocol: EvaluationConfig, data: PreparedData, asked: QueryKind
) -> None:
    """Checks that the validation part can give the metric and the slice."""
    if not data.parts[VALIDATION].examples:
        raise UserError(
            "tuning: there is no validation part to choose by; give data.split.validation a share"
        )
    counts, (measure,) = data.item_counts(TRAIN), protocol.measures
    if measure.k > len(counts):
        raise UserError(f"tuning.metric: {measure}: the catalogue has only {len(counts)} items")
    known = slice_names(protocol, QuerySet.read(data.queries(VALIDATION, asked)), counts)
    if tuning.slice not in known:
        raise UserError(
            f"tuning.slice: {tuning.slice!r}: not measured by the evaluation section; "
            f"known: {', '.join(known)}"
        )


def _identity(config: ExperimentConfig, tuning: TuningConfig, prepared: Artifact) -> str:
    """Digest of all that decides what a trial comes to, so that only like ones are compared."""
    template, _ = load_template(config.model)
    decisive = {
        "config": config.model_dump(
            mode="json", exclude={"tuning", "serving", "service", "pipeline", "runs", "name"}
        ),
        "tuning": tuning.model_dump(mode="json", exclude=_CALLS_LEFT_OUT),
        "template": source_digest(template),
        "prepare": prepared.manifest.digest,
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]


@contextlib.contextmanager
def _alone(tuned: Tuned) -> Iterator[None]:
    """Keeps a second call away: it would take the trial that runs for one that was cut short."""
    with (tuned.path / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{tuned.path}: another `tfrec tune` is at work there; wait for it, or give the "
                "config another name"
            ) from None
        yield


def _open_study(tuned: Tuned, name: str) -> "optuna.Study":
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(tuned.journal))),
        study_name=name,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(),
        load_if_exists=True,
    )


def _suggest(trial: "optuna.Trial", name: str, values: Range) -> None:
    low, high = values.low, values.high
    if low is None or high is None:
        trial.suggest_categorical(name, values.written_choices)
    elif isinstance(low, int) and isinstance(high, int):
        trial.suggest_int(name, low, high, log=values.log)
    else:
        trial.suggest_float(name, low, high, log=values.log)


def _settings(params: Mapping[str, Any]) -> dict[str, str]:
    """A trial's values as `override` takes them; choices are YAML already."""
    return {n: v if isinstance(v, str) else as_yaml(v) for n, v in params.items()}


def _best(study: "optuna.Study") -> "optuna.trial.FrozenTrial | None":
    """The trial with the highest value, the first of equals."""
    values = {trial.number: _value(trial) for trial in study.trials}
    known = {number: value for number, value in values.items() if value is not None}
    return study.trials[max(known, key=lambda number: known[number])] if known else None


def _value(trial: "optuna.trial.FrozenTrial") -> float | None:
    """What a whole trial came to; of a pruned one, Optuna's value is its last loss."""
    return trial.value if trial.state.name == "COMPLETE" else None


def _state(trial: "optuna.trial.FrozenTrial") -> str:
    return "failed" if _ERROR in trial.user_attrs else trial.state.name.lower()


def _write(file: Path, write: Callable[[Path], object]) -> None:
    partial = file.with_name(f".partial-{file.name}")
    write(partial)
    partial.replace(file)
