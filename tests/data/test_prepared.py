from pathlib import Path

import pytest

from tfrec.data.prepared import PreparedData
from tfrec.data.split import Window


def test_windows_are_kept_for_later_stages(tmp_path: Path) -> None:
    windows = {"train": Window(0, 5), "validation": Window(5, 7), "test": Window(7, 9)}

    PreparedData(tmp_path).write_windows(windows)

    read = PreparedData(tmp_path).windows
    assert read == windows
    assert read["validation"].end == 7


@pytest.mark.parametrize(
    "part", ["catalogue", "events", "transform", "items", "profiles", "rejects", "schema"]
)
def test_preparation_leaves_every_part(prepared: PreparedData, part: str) -> None:
    assert getattr(prepared, part).exists()
