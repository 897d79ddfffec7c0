"""Deciding whether a model is good enough to be pushed."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import model_validator

from tfrec.config import Section
from tfrec.errors import UserError
from tfrec.evaluation.measures import LESS_IS_BETTER, POINTWISE, kind_of

LAST = "last"
"""What a rule calls the model that was blessed last."""

ALL = "all"

Figures = Mapping[str, Mapping[str, float | None]]
"""Slice, or `task NAME` -> metric -> value of one ranker."""


class NotBlessedError(UserError):
    """A model that may not be pushed: not a mistake of the config, but less than it asks for."""

    exit_status = 1


class Rule(Section):
    """What a model must be better than; of errors and of `gini`, less is better.

    Attributes:
      metric: as the evaluation calls it, e.g. recall@10, gini@10 or log_loss.
      slice: as the evaluation calls it.
      task: whose predictions are measured, for metrics of these; it may be left out where the
        model has but one.
      over: a baseline, `last` for the model that was blessed last, or a number.
      margin: by how much, in units of the metric; below 0 for how much worse it may be.
    """

    metric: str
    slice: str = ALL
    task: str | None = None
    over: str | float
    margin: float = 0.0

    @model_validator(mode="after")
    def _has_one_place(self) -> "Rule":
        if self.of_predictions and self.slice != ALL:
            raise ValueError(f"{self.metric} is of all examples; leave slice out")
        if self.of_predictions and self.over != LAST and isinstance(self.over, str):
            raise ValueError(
                f"{self.metric} needs predictions, and {self.over} makes none; compare with last "
                "or with a number"
            )
        if self.task is not None and not self.of_predictions:
            raise ValueError(f"{self.metric} is of rankings, which have no task; leave task out")
        return self

    @property
    def of_predictions(self) -> bool:
        """Whether predictions of labelled examples are measured, and not rankings."""
        return self.metric in POINTWISE

    @property
    def place(self) -> str:
        """Where the figure is found; see `Figures`."""
        return f"task {self.task}" if self.of_predictions else self.slice

    def gain(self, ours: float, theirs: float) -> float:
        """By how much our value is better than theirs."""
        return theirs - ours if self._less_is_better else ours - theirs

    def __str__(self) -> str:
        """The rule in words."""
        over = self.over if isinstance(self.over, str) else f"{self.over:g}"
        allowed = f"no more than {-self.margin:g} " if self.margin < 0 else ""
        asked = f" by {self.margin:g}" if self.margin > 0 else ""
        side = "below" if self._less_is_better != (self.margin < 0) else "above"
        return f"{self.metric} of {self.place} {allowed}{side} {over}{asked}"

    @property
    def _less_is_better(self) -> bool:
        return kind_of(self.metric) in LESS_IS_BETTER


class Verdict(Section):
    """Whether a model is blessed, and which rule decided.

    Attributes:
      blessed: whether it is.
      because: the first rule that was broken, or that none was.
      rules: a line for each rule, with its figures.
    """

    blessed: bool
    because: str
    rules: tuple[str, ...]


def settle(
    rules: Sequence[Rule],
    slices: Collection[str],
    tasks: Mapping[str, Collection[str]],
    last: Figures | None,
) -> list[Rule]:
    """Checks before anything is measured that every rule will find its figures.

    Args:
      rules: what must hold.
      slices: names of the slices that will be measured.
      tasks: the model's tasks, and the metrics that each will be measured by.
      last: figures of the model that was blessed last; none before the first.

    Returns:
      The rules, each of predictions with its task.

    Raises:
      UserError: if a figure will be missing.
    """
    settled = []
    for number, rule in enumerate(rules):
        field = f"evaluation.bless.{number}"
        if rule.of_predictions:
            rule = _with_task(rule, field, tasks)
        elif rule.slice not in slices:
            raise UserError(
                f"{field}.slice: {rule.slice!r} is not measured; measured: {', '.join(slices)}"
            )
        if rule.over == LAST and last is not None and rule.metric not in last.get(rule.place, {}):
            raise UserError(
                f"{field}: the model that was blessed last has no {rule.metric} of {rule.place}; "
                "leave the rule out until a model with it was blessed"
            )
        settled.append(rule)
    return settled


def figures_of(summary: Mapping[str, Any]) -> dict[str, Figures]:
    """The figures in an evaluation's summary: ranker -> figures.

    The first ranker is the model, which alone has tasks.
    """
    tasks = summary.get("predictions", {}).items()
    model, *others = summary["metrics"]
    predicted = {f"task {task}": figures for task, figures in tasks}
    return {
        model: {**summary["metrics"][model], **predicted},
        **{name: summary["metrics"][name] for name in others},
    }


def judge(
    rules: Sequence[Rule], figures: Mapping[str, Figures], last: Figures | None, model: str
) -> Verdict:
    """Applies all rules.

    Args:
      rules: what must hold, settled.
      figures: ranker -> its figures.
      last: those of the model that was blessed last; none before the first.
      model: the ranker that is judged.

    Returns:
      The verdict. Without a figure, as of a slice with too few shoppers, a rule is broken; one
      over `last` holds where there is none.
    """
    lines, broken = [], []
    for rule in rules:
        if rule.over == LAST and last is None:
            lines.append(f"{rule}: holds, no model was blessed before")
            continue
        ours = figures[model][rule.place][rule.metric]
        theirs = _bar(rule, figures, last)
        if ours is None or theirs is None or math.isnan(ours) or math.isnan(theirs):
            line, holds = f"{rule}: broken, too little to measure it on", False
        else:
            gain = rule.gain(ours, theirs)
            holds = gain > rule.margin or gain == rule.margin < 0
            line = f"{rule}: {'holds' if holds else 'broken'}, {ours:.4f} against {theirs:.4f}"
        lines.append(line)
        if not holds:
            broken.append(line)
    because = broken[0] if broken else f"all {len(rules)} rules hold" if rules else "no rule asks"
    return Verdict(blessed=not broken, because=because, rules=tuple(lines))


class Blessed:
    """The figures of the model that was blessed last, in a file beside the artefacts."""

    def __init__(self, file: Path) -> None:
        """Names the file; it may not be there yet."""
        self._file = file

    def before(self, trained: str) -> Figures | None:
        """What a model must be compared with: the last blessed one that is not itself.

        Args:
          trained: id of the trained model that is judged.
        """
        content = self._read()
        return (
            content.get("before") if content.get("trained") == trained else content.get("metrics")
        )

    def bless(self, trained: str, figures: Figures) -> None:
        """Keeps the figures of a model that was blessed; the ones before stay for its sake."""
        content = {"trained": trained, "metrics": figures, "before": self.before(trained)}
        scratch = self._file.with_suffix(".tmp")
        scratch.write_text(json.dumps(content, indent=2))
        scratch.rename(self._file)

    def _read(self) -> dict[str, Any]:
        return json.loads(self._file.read_text()) if self._file.exists() else {}


def _with_task(rule: Rule, field: str, tasks: Mapping[str, Collection[str]]) -> Rule:
    if not tasks:
        raise UserError(f"{field}.metric: {rule.metric} needs a model that predicts labels")
    if rule.task is None and len(tasks) > 1:
        raise UserError(f"{field}.task: missing; the model predicts {', '.join(tasks)}")
    task = next(iter(tasks)) if rule.task is None else rule.task
    if task not in tasks:
        raise UserError(f"{field}.task: {task!r} is not predicted; known: {', '.join(tasks)}")
    if rule.metric not in tasks[task]:
        raise UserError(
            f"{field}.metric: {rule.metric} is not measured of {task}; "
            f"measured: {', '.join(tasks[task])}"
        )
    return rule.model_copy(update={"task": task})


def _bar(rule: Rule, figures: Mapping[str, Figures], last: Figures | None) -> float | None:
    """What the rule compares with."""
    if isinstance(rule.over, float):
        return rule.over
    theirs = last if rule.over == LAST else figures[rule.over]
    assert theirs is not None
    return theirs[rule.place][rule.metric]
