"""The `tuning` section of a config."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

import yaml
from pydantic import Field, field_validator, model_validator

from tfrec.config import Duration, Section
from tfrec.evaluation.measures import LIST_MEASURES, MEASURES

_RELEVANCE = tuple(kind for kind in MEASURES if kind not in LIST_MEASURES)


class Range(Section):
    """Values to try for a setting; a config may write a list of them alone.

    Attributes:
      low: the lowest number.
      high: the highest; where both are written as whole numbers, so are those between.
      log: whether each factor is as likely as any other, rather than each difference.
      choices: the values, where they are listed.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _read_list(cls, content: Any) -> Any:
        return {"choices": content} if isinstance(content, list | tuple) else content

    @model_validator(mode="after")
    def _has_room(self) -> "Range":
        if self.choices:
            if (self.low, self.high, self.log) != (None, None, False):
                raise ValueError("give choices alone, or low and high")
            return self
        if self.low is None or self.high is None:
            raise ValueError("give low and high, or a list of at least one value")
        if self.low >= self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low} has no logarithm; give one above 0, or no log")
        return self

    @property
    def ends(self) -> tuple[Any, ...]:
        """The lowest and the highest value, or every choice."""
        return self.choices or (self.low, self.high)

    @property
    def written_choices(self) -> list[str]:
        """The choices as they would be written in YAML."""
        return [as_yaml(choice) for choice in self.choices]


class TuningConfig(Section):
    """The `tuning` section: what to try, and what makes a trial better than another.

    Attributes:
      metric: of the validation part, with its cut-off; more is better.
      slice: the shoppers it is measured on, as the evaluation calls them.
      trials: how many to make in all, those of an earlier call among them.
      timeout: time after which a call begins no other trial; no limit by default.
      seed: of what is tried.
      ranges: dotted name of a setting of the model or its training -> values to try.
      prune: whether training ends once its validation loss is above the median of the earlier
        trials' at the same epoch.
    """

    metric: str = "recall@10"
    slice: str = "all"
    trials: Annotated[int, Field(gt=0)] = 20
    timeout: Duration | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    ranges: Annotated[Mapping[str, Range], Field(min_length=1)]
    prune: bool = True

    @field_validator("metric")
    @classmethod
    def _is_known(cls, metric: str) -> str:
        kind, at, cutoff = metric.partition("@")
        if kind not in _RELEVANCE:
            raise ValueError(f"not known; known: {', '.join(_RELEVANCE)}")
        if at and not (cutoff.isdecimal() and int(cutoff) > 0):
            raise ValueError(f"write a whole number after the @, e.g. {kind}@10")
        if not at and kind != "mrr":
            raise ValueError(f"lacks a cut-off; write e.g. {kind}@10")
        return metric

    @field_validator("ranges")
    @classmethod
    def _may_vary(cls, ranges: Mapping[str, Range]) -> Mapping[str, Range]:
        for name in ranges:
            if not _varies(name.split(".")):
                raise ValueError(
                    f"{name}: all trials share the prepared data and the protocol; name a setting "
                    "below model or training, or a feature's embedding"
                )
        return ranges


def as_yaml(value: Any) -> str:
    """Writes a value on one line, as an option of the command line has it."""
    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf)
    return text.removesuffix("...\n").strip()


def _varies(name: list[str]) -> bool:
    section, *rest = name
    if section == "features":
        return rest[1:2] == ["embedding"]
    return section in ("model", "training") and bool(rest)
