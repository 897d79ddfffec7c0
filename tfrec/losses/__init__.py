"""Training objectives, one concept a file."""

from tfrec.losses.in_batch_softmax import in_batch_softmax

__all__ = ["in_batch_softmax"]
