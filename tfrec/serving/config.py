"""The `serving` section of a config."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from tfrec.config import Section


class ServingConfig(Section):
    """The `serving` section.

    Attributes:
      name: the model's name on the server.
      root: directory below which servers find models: `root/name/version`.
      k: items that `serving_default`, which takes no `k`, recommends.
      filters: features of the catalogue that requests can filter by: categories and numbers.
      live_items: how many items can be added or changed in a served version; 0 for none.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    root: Path = Path("serving")
    k: Annotated[int, Field(gt=0)] = 10
    filters: tuple[str, ...] = ()
    live_items: Annotated[int, Field(ge=0)] = 0
