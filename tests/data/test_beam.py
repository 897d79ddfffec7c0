import json

import pyarrow as pa
import pytest
from apache_beam.pvalue import TaggedOutput

from tfrec.data.beam import REJECTED, Counts, accept


def test_rows_without_a_fault_pass_and_others_are_tagged_with_their_first_reason() -> None:
    batch = pa.RecordBatch.from_pydict({"n": [0, 1, 2, 3]})
    faults = {
        "odd": pa.array([False, True, False, True]),
        "large": pa.array([False, False, True, True]),
    }

    *rejected, accepted = accept(batch, faults)

    assert accepted.to_pydict() == {"n": [0]}
    assert all(isinstance(line, TaggedOutput) and line.tag == REJECTED for line in rejected)
    assert [json.loads(line.value) for line in rejected] == [
        {"reason": "odd", "row": {"n": 1}},
        {"reason": "odd", "row": {"n": 3}},
        {"reason": "large", "row": {"n": 2}},
    ]


def test_batch_that_is_all_bad_passes_nothing() -> None:
    batch = pa.RecordBatch.from_pydict({"n": [0]})

    (line,) = accept(batch, {"bad": pa.array([True])})

    assert isinstance(line, TaggedOutput)


def test_rejected_share_counts_all_reasons() -> None:
    assert Counts(8, {"odd": 1, "large": 3}).rejected_share == pytest.approx(0.5)
    assert Counts().rejected_share == 0


def test_rejected_rows_carry_no_column_of_ours() -> None:
    batch = pa.RecordBatch.from_pydict({"n": [0], "_item_row": [7]})

    (line,) = accept(batch, {"bad": pa.array([True])})

    assert json.loads(line.value) == {"reason": "bad", "row": {"n": 0}}
