import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tfrec.data.erased import Erased, begin_tombstones, erase, key_of
from tfrec.errors import UserError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Tombstones of two shoppers, of which one was erased twice."""
    file = tmp_path / "service" / "erased"
    for user, moment in (("ann", 100), ("bob", 5), ("ann", 200)):
        erase(file, user, moment)
    return file


def test_events_up_to_the_last_erasure_are_gone_and_later_ones_stay(file: Path) -> None:
    users = pa.array(["ann", "ann", "bob", "bob", "cy", None, "ann"])
    times = pa.array([200, 201, 5, 6, 0, 0, None], pa.int64())

    gone = Erased.read(file).covers(users, times)

    assert gone.to_pylist() == [True, False, True, False, False, False, True]
    assert Erased.read(file).until("ann") == 200
    assert Erased.read(file).until("cy") == -np.inf


def test_nobody_is_erased_in_a_file_that_was_begun(tmp_path: Path) -> None:
    begin_tombstones(tmp_path / "erased")
    begin_tombstones(tmp_path / "erased")

    erased = Erased.read(tmp_path / "erased")

    assert len(erased) == 0
    assert erased.covers(pa.array(["ann", None]), pa.array([1, None])).to_pylist() == [False] * 2


def test_the_file_names_nobody_and_only_its_owner_reads_it(file: Path) -> None:
    assert "ann" not in file.read_text()
    for path in (file, key_of(file)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_same_id_has_another_hash_under_another_key(file: Path, tmp_path: Path) -> None:
    erase(tmp_path / "other", "bob", 5)

    hashes = [line.split()[0] for line in file.read_text().splitlines()[1:]]
    (other,) = (line.split()[0] for line in (tmp_path / "other").read_text().splitlines()[1:])
    assert len(hashes[1]) == len(other) == 32
    assert other not in hashes


def test_line_that_was_cut_short_is_mended_by_the_next_erasure(file: Path) -> None:
    with file.open("a") as opened:
        opened.write("a1b2")  # killed before it was acknowledged
    assert Erased.read(file).until("bob") == 5

    erase(file, "cy", 7)

    assert Erased.read(file).until("cy") == 7
    assert len(Erased.read(file)) == 3


def test_lost_key_is_refused_so_that_nobody_comes_back(file: Path) -> None:
    key_of(file).unlink()

    with pytest.raises(UserError, match=r"erased\.key: no key; without it the erased shoppers"):
        Erased.read(file)
    with pytest.raises(UserError, match="no key"):
        erase(file, "cy", 7)


@pytest.mark.parametrize("change", [Erased.read, begin_tombstones, lambda f: erase(f, "cy", 7)])
def test_lost_tombstones_are_refused_so_that_nobody_comes_back(
    file: Path, change: Callable[[Path], object]
) -> None:
    file.unlink()

    with pytest.raises(UserError, match=r"erased: no tombstones, but their key erased\.key; "):
        change(file)
    assert not file.exists()


def test_path_without_tombstones_and_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"earsed: no tombstones, and no key earsed\.key; correct"):
        Erased.read(tmp_path / "earsed")


def test_file_that_was_begun_without_its_key_is_begun_again(tmp_path: Path) -> None:
    begin_tombstones(tmp_path / "erased")
    key_of(tmp_path / "erased").unlink()  # killed before it was written
    assert len(Erased.read(tmp_path / "erased")) == 0

    erase(tmp_path / "erased", "cy", 7)

    assert Erased.read(tmp_path / "erased").until("cy") == 7


def test_key_of_another_file_is_refused(file: Path, tmp_path: Path) -> None:
    erase(tmp_path / "other", "bob", 5)
    key_of(file).write_text(key_of(tmp_path / "other").read_text())

    with pytest.raises(UserError, match="not the key of"):
        Erased.read(file)


def test_file_of_something_else_is_refused(file: Path) -> None:
    with file.open("a") as opened:
        opened.write("ann 7\n")

    with pytest.raises(UserError, match="not as tfrec writes it"):
        Erased.read(file)
