"""The catalogue of a synthetic shop."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.synthetic.config import SyntheticShop
from tfrec.data.synthetic.draws import DAY_SECONDS, Stream, generator, moments, named
from tfrec.data.synthetic.season import midnight

_OLDEST_DAYS = 730


@dataclass(frozen=True)
class Items:
    """Items and what decides who buys them, by row.

    Attributes:
      ids: `[items]` strings.
      category: `[items]` int64.
      brand: `[items]` int64, all of one category.
      price: `[items]` float64 regular price.
      launch: `[items]` int64 seconds since 1970; no event comes before it.
      popularity: `[items]` float64 Zipf weights.
      complement: `[items]` int64 row of what is bought because of this item, or -1.
    """

    ids: pa.Array
    category: np.ndarray
    brand: np.ndarray
    price: np.ndarray
    launch: np.ndarray
    popularity: np.ndarray
    complement: np.ndarray

    @cached_property
    def by_category(self) -> np.ndarray:
        """`[items]` int64 rows, those of one category together."""
        return np.argsort(self.category, kind="stable")

    @cached_property
    def category_starts(self) -> np.ndarray:
        """`[categories + 1]` int64, where each category begins in `by_category`."""
        return np.r_[0, np.cumsum(np.bincount(self.category))]

    def table(self) -> pa.Table:
        """The catalogue, as the shop knows it."""
        category, brand = category_names(self.category), named("brand-", self.brand, 4)
        return pa.table(
            {
                "item_id": self.ids,
                "title": pc.binary_join_element_wise(brand, category, self.ids, " "),
                "category": category,
                "brand": brand,
                "price": self.price,
                "launch": moments(self.launch),
            }
        )

    def complement_table(self, chance: float) -> pa.Table:
        """The pairs that a method should find: item, its complement, chance of looking at it."""
        rows = np.flatnonzero(self.complement >= 0)
        return pa.table(
            {
                "item_id": self.ids.take(pa.array(rows)),
                "complement_id": self.ids.take(pa.array(self.complement[rows])),
                "chance": np.full(len(rows), chance),
            }
        )


def draw_items(config: SyntheticShop) -> Items:
    """Draws the catalogue.

    The best seller of each category is there from the beginning, so that no category is ever empty,
    and so is every complement.
    """
    random, count = generator(config.seed, Stream.ITEMS), config.items
    category = random.permutation(count) % config.categories
    popularity = (1.0 + random.permutation(count)) ** -config.item_exponent
    new = random.random(count) < config.new_items
    new[_best_sellers(category, popularity)] = False
    day = np.where(
        new, random.integers(1, config.days, count), -random.integers(_OLDEST_DAYS, size=count)
    )
    price_of = random.normal(
        np.log(config.prices.median), config.prices.category_spread, config.categories
    )
    price = np.exp(random.normal(price_of[category], config.prices.item_spread))
    return Items(
        ids=named("i", np.arange(count), 7),
        category=category,
        brand=category * config.brands + random.integers(config.brands, size=count),
        price=np.maximum(price.round(2), 0.01),
        launch=midnight(config.start) + DAY_SECONDS * day,
        popularity=popularity,
        complement=_draw_complements(random, new, config.complements.share),
    )


def category_names(category: np.ndarray) -> pa.Array:
    """Names categories: `[n]` strings."""
    return named("category-", category, 3)


def _best_sellers(category: np.ndarray, popularity: np.ndarray) -> np.ndarray:
    """The row of each category's most popular item."""
    order = np.lexsort((-popularity, category))
    return order[np.flatnonzero(np.diff(category[order], prepend=-1))]


def _draw_complements(random: np.random.Generator, new: np.ndarray, share: float) -> np.ndarray:
    complement = random.choice(np.flatnonzero(~new), len(new))
    has_one = (random.random(len(new)) < share) & (complement != np.arange(len(new)))
    return np.where(has_one, complement, -1)
