"""Promotions of a synthetic shop: which items are cheaper, and on display, when."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tfrec.data.synthetic.config import SyntheticShop
from tfrec.data.synthetic.draws import DAY_SECONDS, Stream, generator, moments
from tfrec.data.synthetic.items import Items
from tfrec.data.synthetic.season import midnight


@dataclass(frozen=True)
class Period:
    """The promotions of one period; all begin and end together.

    Attributes:
      start: seconds since 1970.
      end: just behind it.
      items: `[promotions]` int64 rows of items, each launched before the period.
      discount: `[promotions]` float64 share of the regular price.
      display: `[promotions]` bool.
    """

    start: int
    end: int
    items: np.ndarray
    discount: np.ndarray
    display: np.ndarray

    def table(self, items: Items) -> pa.Table:
        """One row for each promotion."""
        count = len(self.items)
        return pa.table(
            {
                "item_id": items.ids.take(pa.array(self.items)),
                "start": moments(np.full(count, self.start)),
                "end": moments(np.full(count, self.end)),
                "discount": self.discount,
                "display": self.display,
            }
        )


def draw_period(config: SyntheticShop, items: Items, number: int) -> Period:
    """Draws the promotions of one period, the same ones whenever it is asked."""
    promotions = config.promotions
    random = generator(config.seed, Stream.PROMOTIONS, number)
    start = midnight(config.start) + number * promotions.days * DAY_SECONDS
    chosen = random.random(config.items) < promotions.share
    rows = np.flatnonzero(chosen & (items.launch <= start))
    return Period(
        start=start,
        end=start + promotions.days * DAY_SECONDS,
        items=rows,
        discount=random.choice(promotions.discounts, len(rows)),
        display=random.random(len(rows)) < promotions.display,
    )


def draw_periods(config: SyntheticShop, items: Items) -> Iterator[Period]:
    """Draws the periods that cover the log, in order."""
    for number in range(-(-config.days // config.promotions.days)):
        yield draw_period(config, items, number)
