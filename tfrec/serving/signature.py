"""What a model takes and gives, as a client sees it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TensorSpec:
    """Type and shape of an input or output.

    Attributes:
      dtype: the numpy name of its type, or "string".
      shape: its dimensions, None where any size goes; None for the whole where any rank goes.
    """

    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        """Reads like `float32[?, 2]`."""
        if self.shape is None:
            return f"{self.dtype}[...]"
        return f"{self.dtype}[{', '.join('?' if s is None else str(s) for s in self.shape)}]"


@dataclass(frozen=True)
class Signature:
    """One way to call a model.

    Attributes:
      inputs: what to send, by name.
      outputs: what comes back, by name.
      method_name: what kind of call it is, e.g. `tensorflow/serving/predict`.
    """

    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]
    method_name: str


@dataclass(frozen=True)
class ModelMetadata:
    """The signatures of one version.

    Attributes:
      version: the version's number.
      signatures: its signatures by name.
    """

    version: int
    signatures: dict[str, Signature]


def dtype_name(enum_name: str) -> str:
    """The name in a `TensorSpec` for that of a DataType, e.g. `float32` for `DT_FLOAT`."""
    name = enum_name.removeprefix("DT_").lower()
    return {"half": "float16", "float": "float32", "double": "float64"}.get(name, name)
