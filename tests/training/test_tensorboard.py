from pathlib import Path

import pytest
import tensorflow as tf

from tfrec.training import tensorboard
from tfrec.training.epoch_log import Epoch
from tfrec.training.progress import Progress
from tfrec.training.tensorboard import TensorBoard

EPOCH = Epoch(epoch=1, loss=2.5, validation_loss=3.5, seconds=1.0, steps_per_second=1.0)


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """`run/name` -> its points."""
    points: dict[str, list[tuple[int, float]]] = {}
    for file in sorted(folder.rglob("events.*")):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                figure = float(tf.make_ndarray(value.tensor))
                name = f"{file.parent.relative_to(folder)}/{value.tag}"
                points.setdefault(name, []).append((event.step, figure))
    return points


def progress(step: int, loss: float | None = 1.5) -> Progress:
    return Progress(step=step, steps=100, examples_per_second=7.0, loss=loss)


def test_progress_and_epochs_become_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "_SECONDS", 0.0)
    board = TensorBoard(tmp_path)

    board.progress(progress(3))
    board.progress(progress(5, loss=None))
    board.epoch(EPOCH, 10)

    assert curves(tmp_path) == {
        "train/loss": [(3, 1.5), (10, 2.5)],
        "train/examples_per_second": [(3, 7.0)],
        "validation/loss": [(10, 3.5)],
    }


def test_progress_is_written_only_every_few_seconds(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path)

    for step in range(10):
        board.progress(progress(step))

    assert curves(tmp_path) == {}


def test_an_epoch_without_validation_has_no_such_point(tmp_path: Path) -> None:
    TensorBoard(tmp_path).epoch(EPOCH.model_copy(update={"validation_loss": None}), 10)

    assert list(curves(tmp_path)) == ["train/loss"]


def test_a_run_that_goes_on_writes_behind_what_is_there(tmp_path: Path) -> None:
    TensorBoard(tmp_path).validation(3.0, 10)
    TensorBoard(tmp_path).validation(2.0, 20)

    assert sorted(curves(tmp_path)["validation/loss"]) == [(10, 3.0), (20, 2.0)]


def test_of_processes_in_step_only_one_writes(tmp_path: Path) -> None:
    TensorBoard(tmp_path, kept=False).epoch(EPOCH, 10)

    assert list(tmp_path.iterdir()) == []
