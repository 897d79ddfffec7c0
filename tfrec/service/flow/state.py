"""What is known of a request between two steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tfrec.service.api import RecommendationRequest
from tfrec.service.feature_store import Shopper
from tfrec.service.resilience.budget import Budget

if TYPE_CHECKING:
    from tfrec.service.flow.plan import Plan

NOTHING = np.empty(0, np.int64)
NO_ITEM = -1
NOBODY = Shopper("", False, {}, [], {}, None)


class Found(NamedTuple):
    """What a source found, best first.

    Attributes:
      rows: `[n]` int64 rows of the catalogue, each once.
      subjects: `[n]` int64, the row of the item that each is there for, `NO_ITEM` for none; None
        where no item is.
      columns: name -> `[n]`, what the source knows of them besides.
    """

    rows: np.ndarray
    subjects: np.ndarray | None = None
    columns: Mapping[str, np.ndarray] = {}


@dataclass(frozen=True)
class Candidates:
    """Items that may come onto the slate.

    Attributes:
      rows: `[n]` int64 rows of the catalogue, each once, best first.
      scores: `[n]` float64 that they are ordered by.
      sources: `[n]` int64, places in the state's `asked_sources` of what found them first.
      subjects: `[n]` int64, the row of the item that each is there for; `NO_ITEM` for none.
      columns: name -> `[n]`: predictions of the ranking model's tasks, `uplift`, and the like.
    """

    rows: np.ndarray = NOTHING
    scores: np.ndarray = field(default_factory=lambda: np.empty(0))
    sources: np.ndarray = NOTHING
    subjects: np.ndarray = NOTHING
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.rows)

    def take(self, places: np.ndarray) -> "Candidates":
        """Those at some places, or where a mask is true, in its order."""
        return Candidates(
            self.rows[places],
            self.scores[places],
            self.sources[places],
            self.subjects[places],
            {name: values[places] for name, values in self.columns.items()},
        )

    def joined(self, other: "Candidates") -> "Candidates":
        """These, and others behind them; what either does not tell is missing."""
        return Candidates(
            np.r_[self.rows, other.rows],
            np.r_[self.scores, other.scores],
            np.r_[self.sources, other.sources],
            np.r_[self.subjects, other.subjects],
            {
                name: np.concatenate([self._column(name, other), other._column(name, self)])
                for name in {**self.columns, **other.columns}
            },
        )

    def _column(self, name: str, other: "Candidates") -> np.ndarray:
        if name in self.columns:
            return self.columns[name]
        return missing(len(self), other.columns[name].dtype)


def missing(count: int, kind: np.dtype) -> np.ndarray:
    """So many values that are not known."""
    return np.full(count, None if kind.kind == "O" else np.nan, kind)


class Reason(NamedTuple):
    """Why an item is on a slate: a code, and a sentence for people."""

    code: str
    why: str


@dataclass(frozen=True)
class State:
    """A request on its way; each step makes the next one of it.

    Attributes:
      request: what is asked.
      request_id: names it.
      plan: how its slate is made.
      moment: when it is asked, in UTC.
      budget: how long other parts may be waited for.
      asked: `[n]` int64, rows of the items that it is about.
      shopper: what the store knows.
      features: raw features of roles user and context, as models take them.
      history: `[n]` int64, rows of the shopper's items, oldest first; may repeat.
      hidden: `[n]` int64, rows of the items that the shopper does not want to see.
      found: kind of source -> what it found.
      candidates: what was merged, and is left.
      emptied_by: the filter that left nothing.
      tasks: names of the columns that the ranking model predicted.
      reasons: `[k]`, of the first places of the candidates.
      models: model -> version that answered.
      fallbacks: what was not there, and what stood in.
      timings: step -> milliseconds.
    """

    request: RecommendationRequest
    request_id: str
    plan: "Plan"
    moment: datetime
    budget: Budget
    asked: np.ndarray = field(default_factory=lambda: NOTHING)
    shopper: Shopper = NOBODY
    features: Mapping[str, Any] = field(default_factory=dict)
    history: np.ndarray = field(default_factory=lambda: NOTHING)
    hidden: np.ndarray = field(default_factory=lambda: NOTHING)
    found: Mapping[str, Found] = field(default_factory=dict)
    candidates: Candidates = Candidates()
    emptied_by: str | None = None
    tasks: tuple[str, ...] = ()
    reasons: Sequence[Reason] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    fallbacks: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)

    def having(self, **changes: Any) -> "State":
        """The same with other values of some attributes."""
        made = object.__new__(State)  # `dataclasses.replace` takes ten times as long
        made.__dict__.update(self.__dict__, **changes)
        return made

    def without(self, part: str, stood_in: str) -> "State":
        """The same without a part that did not answer; each is noted once."""
        told = f"{part}: {stood_in}"
        return self if told in self.fallbacks else self.having(fallbacks=(*self.fallbacks, told))

    def answered(self, model: str, version: str) -> "State":
        """The same with a model's version."""
        return self.having(models={**self.models, model: version})
