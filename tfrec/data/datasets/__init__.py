"""Named public data sets: `dataset://NAME/TABLE` in a config."""

from tfrec.data.datasets.cache import Fetched, cached, fetch, fetch_dataset, find_dataset
from tfrec.data.datasets.registry import DATASETS

__all__ = ["DATASETS", "Fetched", "cached", "fetch", "fetch_dataset", "find_dataset"]
