"""Deciding whether a model is good enough to be pushed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfrec.config import Section
from tfrec.errors import UserError

LAST = "last"
"""What a rule calls the model that was blessed last."""

Metrics = Mapping[str, Mapping[str, float | None]]
"""Slice -> metric -> mean of one ranker."""


class Rule(Section):
    """What a model must be better than; of every metric more is better.

    Attributes:
      metric: as the evaluation calls it, e.g. recall@10.
      slice: as the evaluation calls it.
      over: a baseline, or `last` for the model that was blessed last.
      margin: by how much, in units of the metric; below 0 for how much worse it may be.
    """

    metric: str
    slice: str = "all"
    over: str
    margin: float = 0.0

    def __str__(self) -> str:
        """The rule in words."""
        return f"{self.metric} of {self.slice} over {self.over} by {self.margin:g}"


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


def judge(
    rules: Sequence[Rule], metrics: Mapping[str, Metrics], last: Metrics | None, model: str
) -> Verdict:
    """Applies all rules.

    Args:
      rules: what must hold.
      metrics: ranker -> slice -> metric -> mean.
      last: those of the model that was blessed last; none before the first.
      model: the ranker that is judged.

    Returns:
      The verdict. Without a figure, as of a slice with too few shoppers, a rule is broken; one
      over `last` holds where there is none.

    Raises:
      UserError: if a rule names what is not measured.
    """
    lines, broken = [], []
    for rule in rules:
        ours = _figure(rule, metrics[model])
        if rule.over == LAST and last is None:
            lines.append(f"{rule}: holds, no model was blessed before")
            continue
        theirs = _figure(rule, _other(rule, metrics, last))
        if ours is None or theirs is None:
            line, holds = f"{rule}: broken, too few shoppers", False
        else:
            holds = ours - theirs > rule.margin or ours - theirs == rule.margin < 0
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

    def before(self, trained: str) -> Metrics | None:
        """What a model must be compared with: the last blessed one that is not itself.

        Args:
          trained: id of the trained model that is judged.
        """
        content = self._read()
        return (
            content.get("before") if content.get("trained") == trained else content.get("metrics")
        )

    def bless(self, trained: str, metrics: Metrics) -> None:
        """Keeps the figures of a model that was blessed; the ones before stay for its sake."""
        content = {"trained": trained, "metrics": metrics, "before": self.before(trained)}
        scratch = self._file.with_suffix(".tmp")
        scratch.write_text(json.dumps(content, indent=2))
        scratch.rename(self._file)

    def _read(self) -> dict[str, Any]:
        return json.loads(self._file.read_text()) if self._file.exists() else {}


def _other(rule: Rule, metrics: Mapping[str, Metrics], last: Metrics | None) -> Metrics:
    if rule.over == LAST and last is not None:
        return last
    if rule.over not in metrics:
        raise UserError(
            f"evaluation.bless: over {rule.over!r} is not measured; add it to "
            "evaluation.baselines, or write last"
        )
    return metrics[rule.over]


def _figure(rule: Rule, metrics: Metrics) -> float | None:
    for name, known in ((rule.slice, metrics), (rule.metric, metrics.get(rule.slice, {}))):
        if name not in known:
            raise UserError(
                f"evaluation.bless: {name!r} is not measured; measured: {', '.join(known)}"
            )
    return metrics[rule.slice][rule.metric]
