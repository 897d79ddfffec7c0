import math
from pathlib import Path

import pytest

from tfrec.errors import UserError
from tfrec.training.config import EarlyStopping
from tfrec.training.epoch_log import Epoch, EpochLog, read_epochs


def an_epoch(number: int, validation_loss: float | None, loss: float = 1.0) -> Epoch:
    return Epoch(
        epoch=number, loss=loss, validation_loss=validation_loss, seconds=2.0, steps_per_second=3.0
    )


def log_of(file: Path, *losses: float | None, patience: int | None = None) -> EpochLog:
    stopping = None if patience is None else EarlyStopping(patience=patience)
    log = EpochLog(file, 0, stopping)
    for number, loss in enumerate(losses, 1):
        log.add(an_epoch(number, loss))
    return log


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def test_every_epoch_is_on_disk_at_once(file: Path) -> None:
    log = EpochLog(file, 0, None)
    assert read_epochs(file) == []

    for number in (1, 2):
        log.add(an_epoch(number, 0.5))
        assert [epoch.epoch for epoch in read_epochs(file)] == list(range(1, number + 1))


def test_a_log_that_is_ahead_of_the_checkpoint_is_cut(file: Path) -> None:
    log_of(file, 3.0, 2.0, 1.0)

    resumed = EpochLog(file, 2, None)
    assert [epoch.epoch for epoch in resumed.epochs] == [1, 2]
    resumed.add(an_epoch(3, 1.5))

    assert [epoch.validation_loss for epoch in read_epochs(file)] == [3.0, 2.0, 1.5]


def test_the_best_epoch_is_the_first_with_the_lowest_validation_loss(file: Path) -> None:
    assert log_of(file, 3.0, 1.0).is_best
    log = log_of(file, 3.0, 1.0, 1.0, 2.0)
    assert not log.is_best
    assert log.best == an_epoch(2, 1.0)


def test_without_validation_no_epoch_is_best_and_none_stops_training(file: Path) -> None:
    log = log_of(file, None, None, patience=1)

    assert log.best is None
    assert not log.is_best
    assert not log.stopped


@pytest.mark.parametrize(
    ("losses", "patience", "stopped"),
    [
        ([3.0, 2.0], 1, False),
        ([2.0, 3.0], 1, True),
        ([2.0, 2.0], 1, True),
        ([2.0, 3.0], 2, False),
        ([2.0, 3.0, 1.0, 3.0], 2, False),
        ([2.0, 3.0, 2.5], 2, True),
        ([2.0, 3.0, 4.0], None, False),
    ],
)
def test_training_stops_after_epochs_without_a_lower_loss(
    file: Path, losses: list[float], patience: int | None, stopped: bool
) -> None:
    assert log_of(file, *losses, patience=patience).stopped is stopped


def test_a_resumed_log_remembers_that_training_has_stopped(file: Path) -> None:
    log_of(file, 2.0, 3.0, patience=1)

    assert EpochLog(file, 2, EarlyStopping(patience=1)).stopped


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_refused_and_not_taken_down(file: Path, bad: float) -> None:
    log = log_of(file, 2.0)

    with pytest.raises(UserError, match=r"the loss of epoch 2 is (nan|inf); lower .*learning_rate"):
        log.add(an_epoch(2, 1.0, loss=bad))
    with pytest.raises(UserError, match=r"the validation loss of epoch 2 is"):
        log.add(an_epoch(2, bad))

    assert len(read_epochs(file)) == 1


def test_a_process_that_is_not_to_write_only_remembers(file: Path) -> None:
    log = EpochLog(file, 0, EarlyStopping(patience=1), kept=False)

    log.add(an_epoch(1, 1.0))
    log.add(an_epoch(2, 2.0))

    assert log.stopped
    assert not file.exists()
