from pathlib import Path

import numpy as np
import pytest

from tfrec.data.prepared import TEST, TRAIN, VALIDATION, Part, PreparedData


def test_parts_are_kept_for_later_stages(tmp_path: Path) -> None:
    parts = {
        TRAIN: Part(examples=5, shoppers=2, first=3, last=9, files={"a": 2, "b": 3}),
        TEST: Part(examples=0, shoppers=0, first=None, last=None, files={}),
    }

    PreparedData(tmp_path).write_parts(parts)

    read = PreparedData(tmp_path).parts
    assert read == parts
    assert read[TRAIN].files == {"a": 2, "b": 3}


def test_item_counts_are_kept_by_part(tmp_path: Path) -> None:
    counts = np.array([[1, 0, 7], [0, 2, 0], [0, 0, 3]])

    PreparedData(tmp_path).write_item_counts(counts)

    read = PreparedData(tmp_path)
    for part, expected in zip((TRAIN, VALIDATION, TEST), counts, strict=True):
        assert read.item_counts(part).tolist() == expected.tolist()
        assert read.item_counts(part).dtype == np.int64


@pytest.mark.parametrize(
    "place", ["catalogue", "events", "transform", "items", "profiles", "rejects", "schema"]
)
def test_preparation_leaves_every_place(prepared: PreparedData, place: str) -> None:
    assert getattr(prepared, place).exists()
