"""What the flow works out of prepared events once, and keeps beside them."""

import logging
import uuid
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfrec.data.config import DataConfig
from tfrec.data.interaction_reader import read_interactions
from tfrec.data.prepared import PreparedData
from tfrec.service.flow.neighbours import Neighbours, bought_together

logger = logging.getLogger(__name__)


class Knowledge(NamedTuple):
    """What prepared events tell of items.

    Attributes:
      sold: `[items]` float64, see `Shop`.
      is_new: `[items]` bool, whether no training event names it.
      neighbours: what is bought together.
    """

    sold: np.ndarray
    is_new: np.ndarray
    neighbours: Neighbours


def load_knowledge(
    prepared: PreparedData, config: DataConfig, id_: str, half_life: int, folder: Path
) -> Knowledge:
    """Reads what was worked out of the same prepared data before, or works it out and keeps it.

    Args:
      prepared: prepared data.
      config: the `data` section that it was prepared with.
      id_: of the artefact.
      half_life: in seconds; see `FlowConfig`.
      folder: where it is kept.
    """
    file = folder / f"items-{id_}-{half_life}.npz"
    try:
        with np.load(file) as arrays:
            neighbours = Neighbours(arrays["starts"], arrays["rows"], arrays["weights"])
            return Knowledge(arrays["sold"], arrays["is_new"], neighbours)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError) as error:
        logger.warning("%s: made anew: %s", file, error)
    made = _work_out(prepared, config, half_life)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("items-*.npz"):
        old.unlink(missing_ok=True)
    scratch = folder / f".{file.name}-{uuid.uuid4().hex}"
    with scratch.open("wb") as stream:
        np.savez(
            stream, sold=made.sold, is_new=made.is_new, starts=made.neighbours.starts,
            rows=made.neighbours.rows, weights=made.neighbours.weights,
        )  # fmt: skip
    scratch.replace(file)
    return made


def _work_out(prepared: PreparedData, config: DataConfig, half_life: int) -> Knowledge:
    events = read_interactions(prepared, config)
    faded = events.decayed(half_life)
    sold = np.bincount(faded.items, faded.weights, minlength=events.n_items)
    seen = np.bincount(events.items, minlength=events.n_items)
    return Knowledge(sold, seen == 0, bought_together(events, config.session_gap))
