"""Measures of predicted numbers against true ones, both `[examples]`; NaN without an example."""

import numpy as np


def rmse(truth: np.ndarray, predictions: np.ndarray) -> float:
    """Square root of the mean squared error.

    Source: Herlocker et al., Evaluating Collaborative Filtering Recommender Systems, TOIS 2004.
    """
    errors = predictions.astype(np.float64) - truth
    return float(np.sqrt(np.mean(errors**2))) if len(errors) else np.nan


def mae(truth: np.ndarray, predictions: np.ndarray) -> float:
    """Mean absolute error.

    Source: Herlocker et al., Evaluating Collaborative Filtering Recommender Systems, TOIS 2004.
    """
    errors = predictions.astype(np.float64) - truth
    return float(np.mean(np.abs(errors))) if len(errors) else np.nan
