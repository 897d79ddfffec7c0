"""What the page shows beside the summary, gathered while rankers are measured."""

from collections.abc import Mapping

import numpy as np

from tfrec.data.catalogue import Catalogue
from tfrec.data.query_set import QuerySet
from tfrec.evaluation.config import Protocol
from tfrec.evaluation.lists import Lists
from tfrec.evaluation.measures import Items
from tfrec.evaluation.report.curves import curve_kinds, cutoffs, metric_curve
from tfrec.evaluation.report.deciles import Deciles, Found, find
from tfrec.evaluation.report.examples import Example, draw_examples
from tfrec.evaluation.report.reliability import Reliability, reliability


class Gathering:
    """Takes what it needs of each ranker's lists, which need not be kept.

    Attributes:
      lengths: of the lists that curves are of.
      deciles: tenths of the catalogue.
      curves: ranking -> kind of metric -> ranker -> `[lengths]` means.
      found: ranking -> ranker -> what is found in each tenth, in lists of the longest cut-off.
      examples: shoppers, with what the first ranker recommends in the protocol's last ranking.
      reliability: task -> how predictions fit the labels.
    """

    def __init__(
        self, protocol: Protocol, items: Items, queries: QuerySet, catalogue: Catalogue
    ) -> None:
        """Takes what rankers are measured on."""
        self._protocol, self._items = protocol, items
        self._queries, self._catalogue = queries, catalogue
        self.lengths, self.deciles = cutoffs(protocol), Deciles(items.counts)
        kinds = curve_kinds(protocol)
        self.curves: dict[str, dict[str, dict[str, np.ndarray]]] = {
            name: {kind: {} for kind in kinds} for name in protocol.rankings
        }
        self.found: dict[str, dict[str, Found]] = {name: {} for name in protocol.rankings}
        self.examples: list[Example] | None = None
        self.reliability: dict[str, Reliability] = {}

    def add_lists(self, ranker: str, lists: Mapping[str, Lists]) -> None:
        """Hears of a ranker's lists by ranking; the first ranker is the model."""
        for ranking, whole in lists.items():
            for kind, curves in self.curves[ranking].items():
                curves[ranker] = metric_curve(kind, whole, self._items, self.lengths)
            self.found[ranking][ranker] = find(whole, self.deciles, self._protocol.longest)
        if self.examples is None:
            shown = lists[self._protocol.rankings[-1]]
            seed = self._protocol.seed
            self.examples = draw_examples(shown, self._queries, self._catalogue, seed)

    def add_predictions(self, task: str, labels: np.ndarray, predictions: np.ndarray) -> None:
        """Hears of a task's labels and predictions, `[examples]` each."""
        self.reliability[task] = reliability(labels, predictions)
