from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfrec.errors import UserError
from tfrec.evaluation.predictions import measure_predictions
from tfrec.metrics import auc, calibration_error, gauc, log_loss

LABELS = [1, 0, 0, 1, 1, 0]
SHOPPERS = [0, 0, 1, 1, 2, 2]
STARS = [5.0, 1.0, 3.0, 4.0, 2.0, 3.0]
PREDICTED = [0.9, 0.2, 0.6, 0.4, 0.7, 0.1]


class Told(tf.Module):
    """Predicts what the Examples say themselves."""

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self._tasks = tuple(tasks)
        self.signatures = {"rank_examples": self.rank}

    def rank(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        parsing = {"told": tf.io.FixedLenFeature([], tf.float32)}
        return dict.fromkeys(self._tasks, tf.io.parse_example(examples, parsing)["told"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path, PREDICTED)


def write(folder: Path, predicted: Sequence[float]) -> Path:
    with tf.io.TFRecordWriter(str(folder / "part.tfrecord")) as file:
        for label, shopper, stars, told in zip(LABELS, SHOPPERS, STARS, predicted, strict=False):
            features = {
                "_label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                "shopper": tf.train.Feature(int64_list=tf.train.Int64List(value=[shopper])),
                "stars": tf.train.Feature(float_list=tf.train.FloatList(value=[stars])),
                "told": tf.train.Feature(float_list=tf.train.FloatList(value=[told])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            file.write(example.SerializeToString())
    return folder


def test_probabilities_are_measured_against_what_was_taken(folder: Path) -> None:
    measured = measure_predictions(Told(["taken"]), folder, {"taken": "_label"}, "shopper")

    labels, predicted = np.array(LABELS), np.array(PREDICTED, np.float32)
    assert measured["taken"] == pytest.approx(
        {
            "examples": 6,
            "auc": auc(labels, predicted),
            "gauc": gauc(np.array(SHOPPERS), labels, predicted),
            "log_loss": log_loss(labels, predicted),
            "calibration_error": calibration_error(labels, predicted),
        }
    )


def test_numbers_are_measured_by_their_errors(folder: Path) -> None:
    measured = measure_predictions(Told(["stars"]), folder, {"stars": "stars"}, None)

    errors = np.array(STARS) - np.array(PREDICTED)
    assert measured["stars"]["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert measured["stars"]["mae"] == pytest.approx(np.mean(np.abs(errors)))


def test_without_a_shopper_feature_there_is_no_grouped_figure(folder: Path) -> None:
    measured = measure_predictions(Told(["taken"]), folder, {"taken": "_label"}, None)

    assert "gauc" not in measured["taken"]


def test_nothing_to_measure_is_told_with_the_directory(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"^{tmp_path}: holds no example"):
        measure_predictions(Told(["taken"]), tmp_path, {"taken": "_label"}, None)


def test_a_prediction_that_is_no_number_is_told_with_its_task(tmp_path: Path) -> None:
    write(tmp_path, [float("nan")] * 6)

    with pytest.raises(ValueError, match="NaN for taken"):
        measure_predictions(Told(["taken"]), tmp_path, {"taken": "_label"}, None)
