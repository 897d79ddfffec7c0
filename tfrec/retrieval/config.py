"""The `index` section of a config."""

from typing import Annotated, Literal

from pydantic import Field

from tfrec.config import Section


class Promise(Section):
    """What the index has to keep.

    Attributes:
      recall: share of the exact first `k` items that the index finds, on average.
      k: how many items that is about.
    """

    recall: Annotated[float, Field(gt=0, le=1)] = 0.95
    k: Annotated[int, Field(gt=0)] = 100


class IndexConfig(Section):
    """The `index` section.

    Attributes:
      kind: which index.
      promise: its least recall.
    """

    kind: Literal["scann"] = "scann"
    promise: Promise = Promise()
