"""Names of metrics, and measuring them on lists of recommendations."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfrec import metrics
from tfrec.evaluation.lists import Lists

RELEVANCE_MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "recall": metrics.recall,
    "precision": metrics.precision,
    "hit_rate": metrics.hit_rate,
    "ndcg": metrics.ndcg,
    "mrr": metrics.reciprocal_rank,
    "map": metrics.average_precision,
}
"""Measures of what of a list is relevant."""

LIST_MEASURES = ("coverage", "gini", "novelty", "intra_list_diversity")
"""Measures of what is recommended, whatever is relevant."""

MEASURES = (*RELEVANCE_MEASURES, *LIST_MEASURES)
"""What a ranking can be measured by."""

POINTWISE = ("auc", "gauc", "log_loss", "calibration_error", "rmse", "mae")
"""What needs predictions of labelled examples."""

LESS_IS_BETTER = ("gini", "log_loss", "calibration_error", "rmse", "mae")
"""Of all other measures more is better."""

SAMPLED = "sampled_"
"""What stands before a metric's name where not the whole catalogue was ranked."""


@dataclass(frozen=True)
class Measure:
    """A metric at a cut-off.

    Attributes:
      kind: one of `MEASURES`.
      k: length of the lists.
      names_cutoff: whether its name tells the cut-off.
    """

    kind: str
    k: int
    names_cutoff: bool = True

    def __str__(self) -> str:
        """The name, e.g. `recall@10`."""
        return f"{self.kind}@{self.k}" if self.names_cutoff else self.kind

    @property
    def of_shoppers(self) -> bool:
        """Whether each shopper has a value, and not only all together."""
        return self.kind not in ("coverage", "gini")


@dataclass(frozen=True)
class Items:
    """What is known of the catalogue.

    Attributes:
      counts: `[items]` training events of each item.
      vectors: `[items, dim]` that tell items apart, if there are no categories.
      categories: `[items]` integers that tell items apart.
    """

    counts: np.ndarray
    vectors: np.ndarray | None = None
    categories: np.ndarray | None = None

    def __len__(self) -> int:
        """The number of items."""
        return len(self.counts)


def kind_of(title: str) -> str:
    """The kind of metric that a name such as `sampled_recall@10` is of."""
    return title.removeprefix(SAMPLED).partition("@")[0]


def measure_shoppers(measure: Measure, lists: Lists, items: Items) -> np.ndarray:
    """Measures each shopper's list: `[shoppers]` float64, NaN for who has nothing to find."""
    if measure.kind in RELEVANCE_MEASURES:
        return RELEVANCE_MEASURES[measure.kind](lists.hits[:, : measure.k], lists.relevant)
    ranked = lists.items[:, : measure.k]
    if measure.kind == "novelty":
        values = metrics.novelty(ranked, items.counts)
    elif items.categories is not None:
        values = metrics.intra_list_variety(ranked, items.categories)
    elif items.vectors is not None:
        values = metrics.intra_list_diversity(ranked, items.vectors)
    else:
        raise ValueError(f"{measure} needs vectors or categories of the items")
    return np.where(lists.relevant > 0, values, np.nan)


def measure_together(measure: Measure, lists: Lists, items: Items) -> float:
    """Measures the lists of all shoppers who have something to find."""
    ranked = lists.items[lists.relevant > 0, : measure.k]
    function = {"coverage": metrics.coverage, "gini": metrics.gini}[measure.kind]
    return function(ranked, len(items))
