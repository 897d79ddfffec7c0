from collections.abc import Callable

import pytest

from tfrec.data.values import to_strings
from tfrec.errors import UserError
from tfrec.evaluation.online.reading import Rows, Selection, Wanted, numbers, read_columns

WANTED = {"who": Wanted("user", to_strings), "much": Wanted("money", numbers, required=False)}


def read(source: str, share: float = 1, **where: str) -> Rows:
    return read_columns("events", Selection(source=source, where=where), WANTED, share * 0.999)


def test_rows_that_cannot_be_right_are_left_out_and_counted(write: Callable[..., str]) -> None:
    source = write(["user", "money"], [["u", 1.5], ["", 2], ["v", "much"], ["w", ""]])

    rows = read(source)

    assert rows.columns["who"].to_pylist() == ["u", "w"]
    assert rows.columns["much"].to_pylist() == [1.5, None]
    assert +rows.rejected == {"missing who": 1, "much: not a number": 1}


def test_row_with_two_faults_counts_once(write: Callable[..., str]) -> None:
    assert sum(read(write(["user", "money"], [["u", 1], ["", "much"]])).rejected.values()) == 1


def test_only_rows_that_are_asked_for_are_read(write: Callable[..., str]) -> None:
    source = write(["user", "money", "shop"], [["u", 1, 7], ["v", 2, 8], ["w", 3, 7]])

    assert read(source, shop="7").columns["who"].to_pylist() == ["u", "w"]


@pytest.mark.parametrize(("rows", "where"), [([["u", 1]], {"money": "2"}), ([], {})])
def test_log_without_rows_is_refused(
    rows: list, where: dict[str, str], write: Callable[..., str]
) -> None:
    with pytest.raises(UserError, match=r"^events.*(no row has money = 2|holds? no|no file holds)"):
        read(write(["user", "money"], rows), **where)


def test_column_that_is_not_there_is_named(write: Callable[..., str]) -> None:
    with pytest.raises(UserError, match=r"^events.much: no column 'money'; known: user, price$"):
        read(write(["user", "price"], [["u", 1]]))


def test_too_many_bad_rows_are_refused_with_their_number(write: Callable[..., str]) -> None:
    with pytest.raises(UserError, match="events: 1 of 3 rows rejected: 1 missing who; mend them"):
        read(write(["user", "money"], [["u", 1], ["", 2], ["v", 3]]), share=0.3)
