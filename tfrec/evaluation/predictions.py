"""How well a ranker's predictions fit the labels."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfrec.data.input_pipeline import read_serialized
from tfrec.errors import UserError
from tfrec.features.parsing import LABEL
from tfrec.metrics import auc, calibration_error, gauc, log_loss, mae, rmse

_AT_ONCE = 8192
_FUNCTIONS = {
    "auc": auc,
    "log_loss": log_loss,
    "calibration_error": calibration_error,
    "rmse": rmse,
    "mae": mae,
}
Listener = Callable[[str, np.ndarray, np.ndarray], None]


def measure_predictions(
    model: tf.Module,
    folder: Path,
    tasks: Mapping[str, str],
    shopper: str | None,
    listener: Listener = lambda *_: None,
) -> dict[str, dict[str, float]]:
    """Compares the predictions of labelled Examples with their labels.

    Args:
      model: loaded SavedModel of a ranking template.
      folder: directory of transformed Examples.
      tasks: task -> the column of its label. Whole numbers, 0 or 1, are what probabilities are
        measured against; other labels are numbers that are predicted themselves.
      shopper: a category whose values group the examples; none where there is no such feature.
      listener: hears of each task its labels and predictions, `[examples]` each.

    Returns:
      Task -> metric -> value: `auc`, `gauc` (with `shopper`), `log_loss` and `calibration_error`,
      or `rmse` and `mae`; and `examples`, their number.

    Raises:
      UserError: if there is no Example.
      ValueError: if a prediction is NaN.
    """
    rank, columns = model.signatures["rank_examples"], set(tasks.values())
    labels: dict[str, list[np.ndarray]] = {task: [] for task in tasks}
    predicted: dict[str, list[np.ndarray]] = {task: [] for task in tasks}
    groups: list[np.ndarray] = []
    for examples in read_serialized(folder, _AT_ONCE):
        parsed = tf.io.parse_example(examples, {c: tf.io.VarLenFeature(_type(c)) for c in columns})
        predictions = rank(examples=examples)
        for task, column in tasks.items():
            labels[task].append(parsed[column].values.numpy())
            predicted[task].append(predictions[task].numpy())
        if shopper is not None:
            known = {shopper: tf.io.FixedLenFeature([], tf.int64)}
            groups.append(tf.io.parse_example(examples, known)[shopper].numpy())
    if not any(map(len, next(iter(labels.values())))):
        raise UserError(f"{folder}: holds no example to measure predictions on")
    shoppers = np.concatenate(groups) if groups else None
    measured = {}
    for task in tasks:
        pair = np.concatenate(labels[task]), np.concatenate(predicted[task])
        if np.isnan(pair[1]).any():
            raise ValueError(f"the model predicts NaN for {task}")
        names = metrics_of(tasks[task], shoppers is not None)
        measured[task] = _measure(names, *pair, shoppers)
        listener(task, *pair)
    return measured


def metrics_of(column: str, grouped: bool) -> tuple[str, ...]:
    """Names of the metrics that predictions of a label are measured by.

    Args:
      column: of the label.
      grouped: whether the examples' shoppers are known.
    """
    if _type(column) == tf.float32:
        return "rmse", "mae"
    return ("auc", *(["gauc"] if grouped else []), "log_loss", "calibration_error")


def _type(column: str) -> tf.DType:
    """Columns of labelled Examples hold 0 or 1, features of role label any number."""
    return tf.int64 if column.startswith(LABEL) else tf.float32


def _measure(
    names: Sequence[str], labels: np.ndarray, predictions: np.ndarray, shoppers: np.ndarray | None
) -> dict[str, float]:
    values: dict[str, float] = {"examples": len(labels)}
    for name in names:
        if name == "gauc":
            assert shoppers is not None
            values[name] = gauc(shoppers, labels, predictions)
        else:
            values[name] = _FUNCTIONS[name](labels, predictions)
    return values
