"""Running the signatures of models."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from tfrec.serving.signature import Signature


class Answer(NamedTuple):
    """What a model says.

    Attributes:
      outputs: an array for each output; strings are `bytes` or `str`.
      version: which version says so.
    """

    outputs: Mapping[str, np.ndarray]
    version: str


class Models(ABC):
    """Models by name; their newest versions answer."""

    @abstractmethod
    async def signatures(self, model: str) -> Mapping[str, Signature]:
        """What a model can be asked.

        Raises:
          UserError: if there is no such model, or no server answers.
        """

    @abstractmethod
    async def run(
        self,
        model: str,
        signature: str,
        inputs: Mapping[str, np.ndarray],
    ) -> Answer:
        """Runs a signature.

        Args:
          model: its name.
          signature: which one.
          inputs: an array for each of its inputs; strings as object arrays of bytes.

        Raises:
          UserError: if there is no such model or signature, no server answers, or it refuses.
        """

    @abstractmethod
    async def close(self) -> None:
        """Lets go of models and connections."""
