"""The `index` section of a config."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tfrec.config import Section

Kind = Literal["brute_force", "partitioned", "scann"]


class Promise(Section):
    """What the index has to keep.

    Attributes:
      recall: share of the exact first `k` items that the index finds, on average.
      k: how many items that is about.
      milliseconds: the most that a search for one query may take, as the median; no limit by
        default.
      megabytes: the most memory that the index may take; no limit by default.
    """

    recall: Annotated[float, Field(gt=0, le=1)] = 0.95
    k: Annotated[int, Field(gt=0)] = 100
    milliseconds: Annotated[float, Field(gt=0)] | None = None
    megabytes: Annotated[float, Field(gt=0)] | None = None


class IndexConfig(Section):
    """The `index` section.

    Attributes:
      kind: which index; `auto` takes exact search for small catalogues, and for large ones the
        fastest that `runs_on` can load.
      runs_on: where bundles are loaded: `tfrec`, the framework's own server, which has ScaNN's
        ops, or `tensorflow_serving`, which has those of TensorFlow only.
      promise: what it has to keep.
    """

    kind: Literal["auto", "brute_force", "partitioned", "scann"] = "auto"
    runs_on: Literal["tfrec", "tensorflow_serving"] = "tfrec"
    promise: Promise = Promise()

    @model_validator(mode="after")
    def _kind_runs_there(self) -> "IndexConfig":
        if self.kind == "scann" and self.runs_on == "tensorflow_serving":
            raise ValueError(
                "kind scann needs operations that tensorflow_serving has not; take partitioned, or "
                "runs_on: tfrec"
            )
        return self
