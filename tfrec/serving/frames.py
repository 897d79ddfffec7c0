"""Answers of a client as pandas tables."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tfrec.errors import UserError


def to_frame(outputs: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Makes a table of a batch's outputs.

    Args:
      outputs: of `Client.predict`: name -> `[batch, ...]`.

    Returns:
      A row for each example, a column for each output; of an output with more dimensions a row
      holds an array.

    Raises:
      UserError: if the outputs are not of one batch.
    """
    shapes = ", ".join(f"{name} {array.shape}" for name, array in outputs.items())
    lengths = {array.shape[:1] for array in outputs.values()}
    if len(lengths) != 1 or () in lengths:
        raise UserError(f"outputs: {shapes} are not of one batch; make a table of those that are")
    return pd.DataFrame(
        {name: list(array) if array.ndim > 1 else array for name, array in outputs.items()}
    )
