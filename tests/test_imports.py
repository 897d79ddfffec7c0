"""Importing without collections of garbage."""

import gc
from collections.abc import Iterator

import pytest

from tfrec.imports import uncollected_imports


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Leaves the collector as it was."""
    enabled = gc.isenabled()
    yield
    if enabled:
        gc.enable()
    else:
        gc.disable()


def test_nothing_is_collected_within_and_what_is_there_at_the_end_is_passed_over() -> None:
    gc.enable()
    before = gc.get_freeze_count()

    with uncollected_imports():
        assert not gc.isenabled()
        made = [[] for _ in range(1000)]

    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(made)


def test_collector_that_was_off_stays_off() -> None:
    gc.disable()

    with uncollected_imports():
        pass

    assert not gc.isenabled()


def test_failed_import_turns_it_on_again() -> None:
    gc.enable()

    with pytest.raises(ModuleNotFoundError), uncollected_imports():
        raise ModuleNotFoundError("no such thing")

    assert gc.isenabled()
