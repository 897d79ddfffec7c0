"""Serving: the embedded model server and its client."""

import importlib
from typing import Any

_LAZY = {
    "AsyncClient": "tfrec.serving.async_client",
    "Client": "tfrec.serving.client",
    "ModelServer": "tfrec.serving.server",
    "ServingError": "tfrec.serving.status",
}

__all__ = ["AsyncClient", "Client", "ModelServer", "ServingError"]


def __getattr__(name: str) -> Any:
    """Imports on first use: a REST client does without TensorFlow."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'tfrec.serving' has no attribute {name!r}")
