from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest
from records import read_all_examples

from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.events import first_and_last
from tfrec.data.prepared import PreparedData
from tfrec.data.raw_examples import write_raw_examples
from tfrec.data.splits import TEST, TRAIN, VALIDATION, ByTime, Split, make_split
from tfrec.features import FeatureSpec

COLUMNS = Columns(
    {
        "shopper": "user", "sku": "item", "aisle": "catalogue", "channel": "event",
        "weekday": "calendar",
    }
)  # fmt: skip

Write = Callable[[Split], list[str]]


@pytest.fixture
def write(
    data_config: DataConfig, spec: FeatureSpec, prepared: PreparedData, tmp_path: Path
) -> Write:
    return lambda split: write_raw_examples(data_config, spec, COLUMNS, split, prepared, tmp_path)


def test_each_event_is_one_raw_example_in_the_split_of_its_part(
    write: Write, data_config: DataConfig, prepared: PreparedData, log: list, tmp_path: Path
) -> None:
    first, last = first_and_last(prepared.events)
    split = make_split(data_config.split, first, last, data_config.seed)
    assert isinstance(split, ByTime)

    parts = write(split)

    assert parts == [TRAIN, VALIDATION, TEST]
    for part, low, high in (
        (TRAIN, first, split.validation),
        (VALIDATION, split.validation, split.test),
        (TEST, split.test, last + 1),
    ):
        wanted = Counter(
            (
                event.user, event.sku, f"aisle-{int(event.sku[-3:]) % 6}", event.channel,
                f"{datetime.fromtimestamp(event.time, timezone.utc):%A}",
            )
            for event in log
            if low <= event.time < high
        )  # fmt: skip
        written = read_all_examples(tmp_path / f"Split-{part}")
        found = Counter(
            tuple(example[name][0].decode() for name in COLUMNS.places) for example in written
        )
        assert found == wanted
        assert all("recent" not in example for example in written)
