"""Recommenders on TensorFlow, from raw shop events to answers in milliseconds."""

import importlib
import os
from typing import Any

# Both are read while TensorFlow is imported, so they are set before anything below can import it.
# At level 2 TensorFlow 2.16 prints three lines about CUDA plugins wherever there is no GPU.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__version__ = "0.1.0"

_LAZY = {
    "Experiment": "tfrec.stages.experiment",
    "Recommender": "tfrec.stages.recommender",
    "UserError": "tfrec.errors",
}
_ROOMS = ("features", "layers", "losses", "metrics", "models")

__all__ = ["__version__", *_LAZY, *_ROOMS]


def __getattr__(name: str) -> Any:
    """Imports on first use, so that `tfrec --help` does not wait for TensorFlow."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"tfrec.{name}")
    raise AttributeError(f"module 'tfrec' has no attribute {name!r}")
