from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from tfrec.data.events import USER
from tfrec.service.storefront.proposals import some_shoppers


def test_a_few_shoppers_are_proposed(tmp_path: Path) -> None:
    for number, users in enumerate(([], [f"user-{n}" for n in range(100)], ["late"])):
        pa.parquet.write_table(
            pa.table({USER: pa.array(users, pa.string()), "age": pa.nulls(len(users))}),
            tmp_path / f"{number}.parquet",
        )
    assert some_shoppers(tmp_path) == [f"user-{n}" for n in range(12)]


def test_without_prepared_shoppers_nobody_is_proposed(tmp_path: Path) -> None:
    assert some_shoppers(tmp_path / "nothing") == []
