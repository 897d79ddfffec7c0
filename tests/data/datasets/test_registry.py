import re

import pytest
import yaml

from tfrec.config import validate
from tfrec.data.config import DataConfig
from tfrec.data.datasets import DATASETS

WITH_CONFIG = [name for name, dataset in DATASETS.items() if dataset.data]


@pytest.mark.parametrize("name", WITH_CONFIG)
def test_config_to_copy_is_valid_and_names_columns_that_are_there(name: str) -> None:
    section = yaml.safe_load(DATASETS[name].data)["data"]

    validate(DataConfig, section, "data")

    events, items = (
        set(DATASETS[name].tables[named["source"].removeprefix(f"dataset://{name}/")].schema.names)
        for named in (section["events"], section["items"])
    )
    assert {section["events"][key] for key in ("user", "item", "time")} <= events
    assert {section["items"]["id"], *section["items"].get("name", [])} <= items


@pytest.mark.parametrize("name", DATASETS)
def test_every_table_has_one_source_and_columns_with_a_meaning(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9_]+", name)
    for table in DATASETS[name].tables.values():
        assert bool(table.files) != bool(table.derived_from)
        assert len(set(table.schema.names)) == len(table.columns)
        assert all(column.meaning for column in table.columns)
