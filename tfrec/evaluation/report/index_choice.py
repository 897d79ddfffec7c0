"""How the index was chosen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfrec.config import validate
from tfrec.retrieval.config import Promise
from tfrec.retrieval.tuning import Measurement, pareto_front


@dataclass(frozen=True)
class IndexChoice:
    """What was tried for an index.

    Attributes:
      promise: what it has to keep.
      items: how many it holds.
      queries: how many it was measured on.
      chosen: what keeps the promise in the least time.
      measured: everything that was tried.
    """

    promise: Promise
    items: int
    queries: int
    chosen: Measurement
    measured: tuple[Measurement, ...]

    @classmethod
    def read(cls, config: Mapping[str, Any], summary: Mapping[str, Any]) -> "IndexChoice | None":
        """Reads a choice from an index's manifest.

        Args:
          config: the `index` section.
          summary: what the stage says; see `tfrec.stages.index.index`.

        Returns:
          The choice; none where the model scores the whole catalogue.
        """
        if "chosen" not in summary:
            return None
        return cls(
            validate(Promise, config["promise"], "index.promise"),
            summary["items"],
            summary["measured_on_queries"],
            Measurement(**summary["chosen"]),
            tuple(Measurement(**one) for one in summary["measured"]),
        )

    @property
    def k(self) -> int:
        """Length of the lists that were measured."""
        return min(self.promise.k, self.items)

    @property
    def front(self) -> list[Measurement]:
        """What nothing else beats in both recall and time, fastest first."""
        return pareto_front(self.measured)
