"""Training objectives, one concept a file."""

from tfrec.losses.binary_cross_entropy import binary_cross_entropy
from tfrec.losses.bpr import bpr
from tfrec.losses.calibrated_ranking import calibrated_ranking
from tfrec.losses.distillation import distillation
from tfrec.losses.focal import focal
from tfrec.losses.frequency import StreamingFrequency
from tfrec.losses.full_softmax import full_softmax
from tfrec.losses.gbce import gbce
from tfrec.losses.hard_negatives import hard_negatives
from tfrec.losses.in_batch_softmax import in_batch_softmax
from tfrec.losses.lambda_rank import lambda_rank
from tfrec.losses.list_mle import list_mle
from tfrec.losses.list_net import list_net
from tfrec.losses.log_q import log_q
from tfrec.losses.mixed_negatives import mixed_negative_softmax
from tfrec.losses.sampled_softmax import sampled_softmax

__all__ = [
    "StreamingFrequency",
    "binary_cross_entropy",
    "bpr",
    "calibrated_ranking",
    "distillation",
    "focal",
    "full_softmax",
    "gbce",
    "hard_negatives",
    "in_batch_softmax",
    "lambda_rank",
    "list_mle",
    "list_net",
    "log_q",
    "mixed_negative_softmax",
    "sampled_softmax",
]
