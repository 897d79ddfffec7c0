"""The shopping guide."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from tfrec.config import Section

Words = tuple[str, ...]

# What shoppers who say the first mean to leave out, as labels call it.
_FAMILIES: Mapping[str, Words] = {
    "nuts": (
        "peanut", "almond", "walnut", "cashew", "pecan", "pistachio", "hazelnut", "macadamia",
        "praline", "marzipan", "nougat", "trail mix",
    ),
    "dairy": ("milk", "cheese", "butter", "cream", "yogurt", "yoghurt", "ice cream"),
    "alcohol": (
        "beer", "wine", "liquor", "spirits", "ale", "vodka", "whiskey", "rum", "gin", "champagne",
        "beeralemalt",
    ),
    "meat": (
        "beef", "pork", "chicken", "turkey", "ham", "bacon", "sausage", "lamb", "veal",
        "lunchmeat", "poultry", "hot dogs",
    ),
    "fish": ("seafood", "salmon", "tuna", "shrimp", "cod", "tilapia"),
    "sweets": ("candy", "chocolate", "cookies"),
}  # fmt: skip


class LanguageModelConfig(Section):
    """A language model behind a URL that speaks OpenAI's protocol of chats.

    Attributes:
      url: what `/v1/chat/completions` is put behind.
      model: its name there.
      timeout: seconds that one answer may take.
      rest: seconds for which it is not asked after an answer that failed.
      parse: whether it reads what shoppers write.
      phrase: whether it phrases the replies.
      key_env: environment variable that holds the key; by default none is sent.
    """

    url: Annotated[str, Field(pattern=r"^https?://")]
    model: str
    timeout: Annotated[float, Field(gt=0)] = 1.5
    rest: Annotated[float, Field(ge=0)] = 30.0
    parse: bool = True
    phrase: bool = True
    key_env: str | None = None


class GuideConfig(Section):
    """The shopping guide.

    Attributes:
      currency: sign of the prices.
      brands: features whose values are constraints wherever a shopper names them.
      families: what shoppers leave out -> words of the catalogue that it covers besides.
      language_model: phrases and reads; by default rules do.
    """

    currency: str = "$"
    brands: tuple[str, ...] = ("brand",)
    families: Mapping[str, Words] = _FAMILIES
    language_model: LanguageModelConfig | None = None
