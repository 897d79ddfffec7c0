"""The `serving` section of a config."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from tfrec.config import Section
from tfrec.embeddings.quantised import Precision


class RankerConfig(Section):
    """A second model, which puts in order what the index finds.

    Attributes:
      model: directory of the training artefact of a ranking template.
      candidates: how many items of the index it scores for a list, or as many as are listed where
        these are more.
      weights: task -> weight of its prediction in an item's score; by default the model's first
        task alone.
    """

    model: Path
    candidates: Annotated[int, Field(gt=0)] = 200
    weights: Mapping[str, Annotated[float, Field(allow_inf_nan=False)]] = {}


class ServingConfig(Section):
    """The `serving` section.

    Attributes:
      name: the model's name on the server.
      root: directory below which servers find models: `root/name/version`.
      k: items that `serving_default`, which takes no `k`, recommends.
      filters: features of the catalogue that requests can filter by: categories and numbers.
      live_items: how many items can be added or changed in a served version; 0 for none.
      precision: what the model's embedding tables and dense layers are kept as; export measures
        what fewer bytes than those of `float32` change.
      ranker: orders what the index finds; by default the model's own scores do.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    root: Path = Path("serving")
    k: Annotated[int, Field(gt=0)] = 10
    filters: tuple[str, ...] = ()
    live_items: Annotated[int, Field(ge=0)] = 0
    precision: Precision = "float32"
    ranker: RankerConfig | None = None
