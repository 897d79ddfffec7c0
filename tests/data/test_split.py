import pytest

from tfrec.config import validate
from tfrec.data.config import TimeSplit
from tfrec.data.split import time_windows
from tfrec.errors import UserError


def split(validation: str, test: str) -> TimeSplit:
    return validate(TimeSplit, {"kind": "time", "validation": validation, "test": test})


def test_every_moment_of_the_log_is_in_exactly_one_window() -> None:
    windows = time_windows(split("7s", "5s"), first=100, last=130)

    for moment in range(100, 131):
        assert sum(w.start <= moment < w.end for w in windows.values()) == 1


def test_windows_follow_each_other_and_last_as_long_as_the_config_says() -> None:
    windows = time_windows(split("7s", "5s"), first=100, last=130)

    assert list(windows) == ["train", "validation", "test"]
    assert windows["train"] == (100, 119)
    assert windows["validation"] == (119, 126)
    assert windows["test"] == (126, 131)


def test_one_moment_may_be_left_to_train_on() -> None:
    assert time_windows(split("4s", "5s"), first=0, last=9)["train"] == (0, 1)


@pytest.mark.parametrize("validation", ["5s", "1d"])
def test_windows_that_leave_nothing_to_train_on_are_refused(validation: str) -> None:
    with pytest.raises(UserError, match=r"data\.split: .* take all 0\.0 days .*shorten"):
        time_windows(split(validation, "5s"), first=0, last=9)
