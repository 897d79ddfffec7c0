"""A grocery of two dozen items, what it knows of them today, and slates as a search makes them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from tfrec.data.catalogue import ID, NAME, Catalogue
from tfrec.service.api import RecommendationRequest, Slate, SlateItem
from tfrec.service.assortment import PRICE, Assortment
from tfrec.service.search.config import SearchConfig
from tfrec.service.search.search import Search

# id, name, department, category, brand, price, times bought
ITEMS = [
    ("ale", "Pale Ale 12 OZ", "DRINKS", "BEERS/ALES", "National", 9.0, 9),
    ("almonds", "Roasted Almonds", "GROCERY", "SNACK NUTS", "Private", 6.0, 3),
    ("apples", "Red Apples", "PRODUCE", "FRUIT", "National", 2.0, 30),
    ("bananas", "Bananas", "PRODUCE", "FRUIT", "National", 1.0, 50),
    ("bars", "Chocolate Nut Bars", "GROCERY", "CANDY - PACKAGED", "National", 3.0, 4),
    ("bread", "Wheat Bread", "BAKERY", "BREAD", "Private", 2.5, 40),
    ("butter", "Peanut Butter 16 OZ", "GROCERY", "PNT BTR/JELLY/JAMS", "National", 4.0, 10),
    ("chips", "Potato Chips", "GROCERY", "BAG SNACKS", "National", 3.5, 25),
    ("cola", "Cola 2 L", "DRINKS", "SFT DRNK", "National", 1.5, 35),
    ("cookies", "Chocolate Chip Cookies", "GROCERY", "COOKIES/CONES", "Private", 2.8, 20),
    ("crackers", "Cheese Crackers", "GROCERY", "BAG SNACKS", "Private", 2.2, 15),
    ("dark", "Dark Chocolate", "GROCERY", "CANDY - PACKAGED", "National", 4.5, 8),
    ("dogfood", "Dog Food 5 LB", "PETS", "DOG FOODS", "Private", 12.0, 6),
    ("eggs", "Large Eggs 1 DZ", "DAIRY", "EGGS", "Private", 1.8, 45),
    ("ice", "Vanilla Ice Cream", "DAIRY", "FRZN NOVELTIES", "National", 5.0, 12),
    ("milk", "Whole Milk 1 GA", "DAIRY", "FLUID MILK PRODUCTS", "Private", 2.7, 60),
    ("pizza", "Frozen Pizza 14 OZ", "GROCERY", "FROZEN PIZZA", "National", 6.5, 18),
    ("popcorn", "Salted Popcorn", "GROCERY", "BAG SNACKS", "National", 1.9, 11),
    ("red", "Red Wine 750 ML", "DRINKS", "DOMESTIC WINE", "National", 11.0, 7),
    ("salsa", "Hot Salsa", "GROCERY", "SALADS/DIPS", "Private", 3.2, 9),
    ("soup", "Chicken Soup", "GROCERY", "SOUP", "Private", 1.4, 13),
    ("tea", "Green Tea Bags", "DRINKS", "TEAS", "National", 3.9, 5),
    ("trail", "Trail Mix", "GROCERY", "BAG SNACKS", "National", 5.5, 5),
    ("white", "White Wine 750 ML", "DRINKS", "IMPORTED WINE", "National", 8.0, 7),
]  # fmt: skip
PRICES = np.array([item[5] for item in ITEMS])
BOUGHT = np.array([item[6] for item in ITEMS])


def small_grocery(folder: Path) -> Catalogue:
    """Writes the catalogue, and reads it."""
    ids, names, departments, categories, brands, _, _ = zip(*ITEMS, strict=True)
    table = {ID: ids, NAME: names, "department": departments, "category": categories}
    file = folder / "catalogue.parquet"
    pa.parquet.write_table(pa.table({**table, "brand": brands}), file)
    return Catalogue(file)


def search_of(catalogue: Catalogue) -> Search:
    return Search(catalogue, SearchConfig(synonyms={"soda": "soft drink"}), BOUGHT)


def assortment(**flags: Sequence[str]) -> Assortment:
    """Prices, and flags that are true of some items."""
    ids = [item[0] for item in ITEMS]
    flagged = {name: np.isin(ids, of) for name, of in flags.items()}
    return Assortment({PRICE: PRICES}, np.ones(len(ITEMS), bool), flagged)


class SlateMaker:
    """Makes slates by search and filters alone, and remembers what was asked."""

    def __init__(self, catalogue: Catalogue, search: Search, known: Assortment) -> None:
        self._catalogue, self._search, self._known = catalogue, search, known
        self.asked: list[RecommendationRequest] = []

    async def __call__(self, request: RecommendationRequest) -> Slate:
        self.asked.append(request)
        allowed = self._allowed(request)
        if request.query:
            rows = self._search.find(request.query, request.k, allowed).rows
        else:
            rows = np.argsort(-BOUGHT * allowed, kind="stable")[: min(request.k, allowed.sum())]
        items = tuple(self._item(int(row), place) for place, row in enumerate(rows, 1))
        return Slate(request_id="r", scenario=request.scenario, items=items)

    def _allowed(self, request: RecommendationRequest) -> np.ndarray:
        filters, table = request.filters, self._catalogue.table
        allowed = ~np.isin(self._catalogue.ids.astype(str), request.exclude)
        for name, values in filters.only.items():
            allowed &= np.isin(table[name].to_numpy().astype(str), values)
        for name, values in filters.without.items():
            allowed &= ~np.isin(table[name].to_numpy().astype(str), values)
        for name, bound in filters.least.items():
            allowed &= self._known.numbers[name] >= bound
        for name, bound in filters.most.items():
            allowed &= self._known.numbers[name] <= bound
        for name in filters.flags:
            allowed &= ~self._known.flags[name]
        return allowed

    def _item(self, row: int, place: int) -> SlateItem:
        features = {"price": float(PRICES[row]), "category": ITEMS[row][3]}
        return SlateItem(
            id=ITEMS[row][0],
            name=ITEMS[row][1],
            position=place,
            score=None,
            source="search",
            features=features,
        )
