import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from small_grocery import ITEMS, small_grocery

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.errors import UserError
from tfrec.service.assortment import Assortment, AssortmentConfig
from tfrec.service.live_assortment import LiveAssortment

HEADER = "sku,cost,earns,left,nuts,alcohol"
ROWS = ["milk,2.69,0.4,12,no,false", "ale,9.00,-1,0,false,TRUE", "trail,,,-3,1,"]
CONFIG = {
    "id": "sku", "price": "cost", "margin": "earns", "stock": "left", "flags": ["nuts", "alcohol"],
}  # fmt: skip

Write = Callable[..., AssortmentConfig]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return small_grocery(tmp_path_factory.mktemp("grocery"))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a table, and returns the config that names it."""
    times = iter(range(1_000_000_000, 2_000_000_000, 60))

    def run(*rows: str, header: str = HEADER, **changes: Any) -> AssortmentConfig:
        file = tmp_path / "assortment.csv"
        file.write_text("\n".join([header, *rows]) + "\n")
        moment = next(times)
        os.utime(file, (moment, moment))  # as if a minute had passed
        return validate(AssortmentConfig, {"source": str(file), **CONFIG, **changes})

    return run


def at(values: np.ndarray, item: str) -> Any:
    return values[[entry[0] for entry in ITEMS].index(item)]


def test_numbers_and_flags_are_by_catalogue_row(catalogue: Catalogue, write: Write) -> None:
    read = Assortment.read(write(*ROWS), catalogue)

    assert at(read.numbers["price"], "milk") == 2.69
    assert at(read.numbers["margin"], "ale") == -1
    assert np.isnan(at(read.numbers["price"], "trail"))
    assert np.isnan(at(read.numbers["price"], "bread"))
    assert at(read.flags["nuts"], "trail")
    assert not at(read.flags["nuts"], "milk")
    assert at(read.flags["alcohol"], "ale")
    assert (read.known, read.unknown, read.rejected) == (3, 0, {})


def test_what_is_not_known_is_in_stock_but_not_free_of_anything(
    catalogue: Catalogue, write: Write
) -> None:
    read = Assortment.read(write(*ROWS), catalogue)

    assert [at(read.in_stock, item) for item in ("milk", "ale", "trail", "bread")] == [
        True, False, False, True,
    ]  # fmt: skip
    assert at(read.flags["alcohol"], "trail")
    assert at(read.flags["nuts"], "bread")


def test_without_a_table_all_is_in_stock_and_nothing_else_known(catalogue: Catalogue) -> None:
    read = Assortment.read(None, catalogue)

    assert read.in_stock.all()
    assert not read.numbers
    assert not read.flags


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("bread,cheap,0,1,no,no", "cost: not a number"),
        ("bread,-1,0,1,no,no", "cost: below 0"),
        ("bread,inf,0,1,no,no", "cost: not finite"),
        ("bread,1,0,some,no,no", "left: not a number"),
        ("bread,1,0,1,perhaps,no", "nuts: neither true nor false"),
        (",1,0,1,no,no", "no id"),
        ("milk,1,0,1,no,no", "repeated id"),
    ],
)
def test_bad_row_is_left_out_and_counted_with_its_reason(
    catalogue: Catalogue, write: Write, caplog: pytest.LogCaptureFixture, row: str, reason: str
) -> None:
    read = Assortment.read(write(*ROWS, row), catalogue)

    assert read.rejected == {reason: 1}
    assert np.isnan(at(read.numbers["price"], "bread"))
    assert at(read.numbers["price"], "milk") == 2.69
    assert f"assortment.csv: line 5: rejected: {reason}" in caplog.text


def test_rows_of_items_that_the_catalogue_lacks_are_counted(
    catalogue: Catalogue, write: Write
) -> None:
    read = Assortment.read(write(*ROWS, "zebra,1,1,1,no,no", "yak,1,1,1,no,no"), catalogue)

    assert (read.known, read.unknown) == (3, 2)


def test_parquet_is_read_as_csv_is(catalogue: Catalogue, tmp_path: Path) -> None:
    table = {"sku": ["milk", "ale"], "cost": [2.69, 9.0], "nuts": [False, None]}
    pa.parquet.write_table(pa.table(table), tmp_path / "today.parquet")
    config = AssortmentConfig(
        source=str(tmp_path / "*.parquet"), id="sku", price="cost", flags=("nuts",)
    )

    read = Assortment.read(config, catalogue)

    assert at(read.numbers["price"], "milk") == 2.69
    assert [at(read.flags["nuts"], item) for item in ("milk", "ale")] == [False, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"price": "dear"}, "service.assortment.price: 'dear': no such column; there are sku, "),
        ({"flags": ["gluten"]}, "service.assortment.flags.gluten: 'gluten': no such column"),
        ({"id": "item"}, "service.assortment.id: 'item': no such column"),
        ({"source": "nowhere.csv"}, "service.assortment.source: 'nowhere.csv': no such file"),
    ],
)
def test_what_is_not_there_is_named(
    catalogue: Catalogue, write: Write, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Assortment.read(write(*ROWS, **changes), catalogue)


def test_table_of_other_items_is_refused(catalogue: Catalogue, write: Write) -> None:
    with pytest.raises(UserError, match=r"no row .* of the catalogue \(1 rows of others, 1 rejec"):
        Assortment.read(write("zebra,1,1,1,no,no", "milk,x,1,1,no,no"), catalogue)


def test_unknown_key_of_the_section_is_refused(write: Write) -> None:
    with pytest.raises(UserError, match="prize: unknown key; known here: source, id, price"):
        write(*ROWS, prize="cost")


def test_changed_file_is_read_anew(catalogue: Catalogue, write: Write) -> None:
    live = LiveAssortment(write(*ROWS), catalogue)
    before = live.current

    assert not live.check()
    write("milk,3.19,0.4,0,no,false")

    assert live.check()
    assert at(live.current.numbers["price"], "milk") == 3.19
    assert not at(live.current.in_stock, "milk")
    assert at(before.numbers["price"], "milk") == 2.69


@pytest.mark.parametrize("rows", [["milk,x,1,1,no,no"], []])
def test_broken_file_leaves_the_last_good_one_and_is_reported(
    catalogue: Catalogue, write: Write, rows: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    live = LiveAssortment(write(*ROWS), catalogue)
    write(*rows)

    assert not live.check()
    assert not live.check()
    assert at(live.current.numbers["price"], "milk") == 2.69
    assert live.fault is not None
    assert "assortment.csv" in live.fault
    assert caplog.text.count("as it was before") == 1

    write("milk,3.19,0.4,1,no,false")
    assert live.check()
    assert live.fault is None


def test_missing_file_leaves_the_last_good_one(
    catalogue: Catalogue, write: Write, tmp_path: Path
) -> None:
    live = LiveAssortment(write(*ROWS), catalogue)
    (tmp_path / "assortment.csv").unlink()

    assert not live.check()
    assert live.fault is not None
    assert "no such file" in live.fault


def test_thread_looks_after_the_file_until_it_is_closed(
    catalogue: Catalogue, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = LiveAssortment(write(*ROWS, refresh="1s"), catalogue)
    looked = threading.Event()
    monkeypatch.setattr(live, "check", looked.set)

    live.start()
    assert looked.wait(60)
    live.close()

    assert "assortment" not in {thread.name for thread in threading.enumerate()}


def test_without_a_table_no_thread_is_begun(catalogue: Catalogue) -> None:
    live = LiveAssortment(None, catalogue)
    live.start()

    assert "assortment" not in {thread.name for thread in threading.enumerate()}
    assert not live.check()
    live.close()
