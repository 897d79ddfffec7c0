"""What stands for an item where there is no photograph: a drawing and a colour."""

import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

HUES = 12
"""Number of the colours that the style sheet knows."""


class Picture(NamedTuple):
    """A drawing in a colour.

    Attributes:
      icon: id of a symbol in `templates/icons.svg`.
      hue: number of the colour.
    """

    icon: str
    hue: int


_ICONS: tuple[tuple[str, int, str], ...] = (
    # symbol, colour, words of categories and names; the first that is found counts
    ("paw", 2, "PETS? DOGS? CATS? BIRDS? PUPPY"),
    ("baby", 10, "BABY INFANTS? DIAPERS? TODDLERS?"),
    ("snow", 7, "FROZEN FRZN ICE NOVELTIES"),
    ("wine", 11, "WINES? LIQUORS? SPIRITS CHAMPAGNE"),
    ("beer", 2, "BEERS? ALES? MALT"),
    ("coffee", 1, "COFFEES? TEAS? COCOA ESPRESSO"),
    ("drink", 0, "DRINKS? DRNKS? JUICES? WATERS? SODAS? BEVERAGES? LEMONADE"),
    ("fish", 7, "SEAFOOD FISH SHRIMPS? SALMON TUNA CRABS? CATFISH"),
    ("egg", 2, "EGGS?"),
    ("cheese", 2, "CHEESES?"),
    ("milk", 8, "MILK YOGURTS? DAIRY BUTTER CREAMS? MARGARINES?"),
    ("cake", 11, "CAKES? COOKIES? PASTRY SWEETS? CANDY CHOCOLATES? DESSERTS? PIES? DONUTS? GUM"),
    ("bread", 1, "BREADS? BUNS? ROLLS BAKERY BAKED BAGELS? TORTILLAS? DOUGH BISCUITS? BAKING"),
    ("meat", 0, "MEATS? BEEF PORK CHICKEN TURKEY HAM BACON SAUSAGES? LUNCHMEAT DELI LAMB"),
    ("flower", 10, "FLORAL FLOWERS? ROSES? GARDEN PLANTS? BOUQUETS?"),
    ("fruit", 4, "FRUITS? APPLES? BERRIES BANANAS? CITRUS ORANGES? GRAPES? MELONS? PEARS? PEACHES"),
    ("leaf", 4, "PRODUCE VEGETABLES? VEG SALADS? TOMATOES POTATOES ONIONS? LETTUCE MUSHROOMS?"),
    ("bag", 1, "SNACKS? CHIPS? CRACKERS? POPCORN NUTS? PRETZELS?"),
    ("bowl", 3, "CEREALS? SOUPS? PASTA NOODLES? RICE DINNERS? HISPANIC OATMEAL BREAKFAST"),
    ("pill", 8, "VITAMINS? ANALGESICS? FLU AID DIETARY NUTRITION ANTACIDS? HEALTH"),
    ("bottle", 9, "COSMETICS? MAKEUP HAIR SOAPS? DEODORANTS? SHAMPOO ORAL SHAVING BATH FACIAL"),
    ("spray", 6, "CLEAN[A-Z]* LAUNDRY DETERGENTS? BROOMS? AIR BLEACH DISH[A-Z]* TISSUES? PAPER"),
    ("book", 8, "MAGAZINES? BOOK[A-Z]* STATIONERY SCHOOL CARDS? PHOTO NEWSPAPERS?"),
    ("star", 10, "TOYS? GAMES? SEASONAL CHRISTMAS HALLOWEEN VALENTINE PARTY CANDLES? GIFTS?"),
    ("jar", 3, "CONDIMENTS? SAUCES? SPICES JELLY JAMS? PICKLES? RELISH DRSNG OILS? CANNED STABLE"),
    ("house", 6, "HOUSE[A-Z]* KITCHEN COOKWARE PLASTIC HARDWARE ELECTRICAL AUTOMOTIVE BATTERIES"),
    ("film", 8, "FILMS? MOVIES? VIDEO AUDIO DRAMA COMEDY THRILLER DVD"),
)
_WORDS = [
    (icon, hue, re.compile(rf"\b(?:{'|'.join(words.split())})\b")) for icon, hue, words in _ICONS
]


def picture(name: str, features: Mapping[str, str | float | None]) -> Picture:
    """Chooses what stands for an item.

    Args:
      name: the item's.
      features: its categories; numbers tell nothing here.

    Returns:
      The drawing of the most special category that has one; of any other item a basket, in a
      colour that its first category always has.
    """
    categories = [text for text in features.values() if isinstance(text, str)]
    for text in (*reversed(categories), name):
        if found := _find(text):
            return found
    first = categories[0] if categories else name
    return Picture("basket", blake2b(first.encode(), digest_size=1).digest()[0] % HUES)


@lru_cache(4096)
def _find(text: str) -> Picture | None:
    return next(
        (Picture(icon, hue) for icon, hue, words in _WORDS if words.search(text.upper())), None
    )
