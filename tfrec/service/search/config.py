"""How items are found by what a shopper writes."""

from collections.abc import Mapping
from pathlib import Path

from tfrec.config import Section


class SearchConfig(Section):
    """How items are found by what a shopper writes.

    Attributes:
      model: name on the server, or config, of the experiment that finds items by a text, such as
        one of template `TextTower`; by default the catalogue's words alone find them.
      feature: the model's feature that takes the text.
      synonyms: words of shoppers -> words of the catalogue, such as `soda: soft drink`.
    """

    model: Path | None = None
    feature: str = "query"
    synonyms: Mapping[str, str] = {}
