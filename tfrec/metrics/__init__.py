"""Measures of quality, one kind a file."""

from tfrec.metrics.catalogue import (
    coverage,
    gini,
    intra_list_diversity,
    intra_list_variety,
    novelty,
)
from tfrec.metrics.classification import auc, calibration_error, gauc, log_loss
from tfrec.metrics.ranking import (
    average_precision,
    hit_rate,
    ndcg,
    precision,
    recall,
    reciprocal_rank,
)
from tfrec.metrics.regression import mae, rmse

__all__ = [
    "auc",
    "average_precision",
    "calibration_error",
    "coverage",
    "gauc",
    "gini",
    "hit_rate",
    "intra_list_diversity",
    "intra_list_variety",
    "log_loss",
    "mae",
    "ndcg",
    "novelty",
    "precision",
    "recall",
    "reciprocal_rank",
    "rmse",
]
