import threading
from pathlib import Path

import pytest
import tensorflow as tf

from tfrec.errors import UserError
from tfrec.training.checkpoints import Checkpoints, SavedEvery, latest

DEADLINE_SECONDS = 120


class State:
    """A number that checkpoints hold."""

    def __init__(self, folder: Path, kept: bool = True) -> None:
        self.number = tf.Variable(0)
        self.folder = folder
        self.state = tf.train.Checkpoint(number=self.number)
        self.checkpoints = Checkpoints(self.state, folder, kept)

    def save(self, number: int) -> Path:
        self.number.assign(number)
        return self.checkpoints.save()

    def saved(self, best: bool = False) -> int:
        """The number in a checkpoint, as another process reads it."""
        number = tf.Variable(-1)
        found = latest(self.folder, best)
        tf.train.Checkpoint(number=number).restore(found).assert_existing_objects_matched()
        return int(number)


def test_a_run_goes_back_to_its_last_checkpoint(tmp_path: Path) -> None:
    first = State(tmp_path)
    assert not first.checkpoints.restore()
    for number in (1, 2, 3):
        first.save(number)

    resumed = State(tmp_path)

    assert resumed.checkpoints.restore()
    assert resumed.number == 3
    assert len([*tmp_path.glob("*.index")]) == 2


def test_the_best_checkpoint_outlives_later_ones(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.checkpoints.keep_best(state.save(7))
    for number in (8, 9, 10):
        state.save(number)

    assert state.saved(best=True) == 7
    assert state.saved() == 10
    assert len([*(tmp_path / "best").glob("*.index")]) == 1


def test_a_better_checkpoint_takes_the_place_of_the_best(tmp_path: Path) -> None:
    state = State(tmp_path)
    for number in (5, 6):
        state.checkpoints.keep_best(state.save(number))

    assert state.saved(best=True) == 6
    assert len([*(tmp_path / "best").glob("*.index")]) == 1


def test_the_best_checkpoint_takes_no_further_room(tmp_path: Path) -> None:
    state = State(tmp_path)

    prefix = state.save(1)
    state.checkpoints.keep_best(prefix)

    data = f"{prefix.name}.data-00000-of-00001"
    assert (tmp_path / "best" / data).samefile(tmp_path / data)


def test_the_best_checkpoint_is_copied_where_files_cannot_be_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    state = State(tmp_path)

    state.checkpoints.keep_best(state.save(4))
    state.save(5)

    assert state.saved(best=True) == 4


def test_without_a_best_checkpoint_the_last_one_is_taken(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.save(1)

    assert state.saved(best=True) == 1


def test_a_folder_without_checkpoints_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no whole checkpoint; train first"):
        latest(tmp_path)
    with pytest.raises(UserError, match="holds no whole checkpoint; train first"):
        latest(tmp_path / "nowhere", best=True)


def test_what_a_broken_write_left_is_cleared_away(tmp_path: Path) -> None:
    State(tmp_path).save(1)
    left = tmp_path / "ckpt-2_temp"
    left.mkdir()
    (left / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"half")

    state = State(tmp_path)

    assert not left.exists()
    assert state.saved() == 1


def test_a_write_that_fails_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.save(1)
    # TensorFlow writes into such a directory first.
    (tmp_path / "ckpt-2_temp").write_text("in the way")

    with pytest.raises(tf.errors.OpError):
        state.save(2)

    assert state.saved() == 1
    (tmp_path / "ckpt-2_temp").unlink()
    state.save(3)
    assert state.saved() == 3


def test_of_processes_in_step_the_others_keep_nothing(tmp_path: Path) -> None:
    other = State(tmp_path, kept=False)

    other.checkpoints.keep_best(other.save(1))

    assert list(tmp_path.iterdir()) == []


def test_checkpoints_are_saved_at_equal_distances_until_training_ends() -> None:
    saved = threading.Semaphore(0)

    with SavedEvery(0.01, saved.release, pytest.fail):
        for _ in range(3):
            assert saved.acquire(timeout=DEADLINE_SECONDS)

    while saved.acquire(blocking=False):
        pass
    assert not saved.acquire(timeout=0.05)


def test_a_checkpoint_that_cannot_be_written_is_told_and_the_next_one_tried() -> None:
    tried, warnings = threading.Semaphore(0), list[str]()

    def fail() -> None:
        tried.release()
        raise tf.errors.ResourceExhaustedError(None, None, "no space left\non the device")

    with SavedEvery(0.01, fail, warnings.append):
        for _ in range(2):
            assert tried.acquire(timeout=DEADLINE_SECONDS)

    assert warnings[0] == "a checkpoint could not be written: no space left"


def test_a_checkpoint_being_written_is_waited_for(tmp_path: Path) -> None:
    state, begun, may_end = State(tmp_path), threading.Event(), threading.Event()

    def save() -> None:
        begun.set()
        may_end.wait(DEADLINE_SECONDS)
        state.save(1)

    with SavedEvery(0.01, save, pytest.fail):
        assert begun.wait(DEADLINE_SECONDS)
        threading.Timer(0.05, may_end.set).start()

    assert state.saved() == 1
