from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tfrec.data.times import UNITS, check_units, to_seconds
from tfrec.errors import UserError

UTC = timezone.utc
MOMENT = datetime(2020, 1, 2, 3, 4, 5, 600_000, UTC)
SECONDS = 1_577_934_245
NO_TIME = "no time that can be read"


def plain(result: tuple[pa.Array, dict[str, pa.Array]]) -> tuple[list, dict[str, list[int]]]:
    """Seconds, and for each fault the rows that have it."""
    values, faults = result
    assert values.type == pa.int64()
    for mask in faults.values():
        assert mask.null_count == 0
    rows = {reason: np.flatnonzero(mask).tolist() for reason, mask in faults.items()}
    return values.to_pylist(), rows


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_timestamps_become_seconds_in_utc(unit: str, zone: str | None) -> None:
    moment = MOMENT if zone else MOMENT.replace(tzinfo=None)
    column = pa.array([moment, None], pa.timestamp(unit, zone))

    assert plain(to_seconds(column, "s", None)) == ([SECONDS, None], {})


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()])
def test_dates_are_their_first_second(kind: pa.DataType) -> None:
    column = pa.array([date(2020, 1, 2), date(1969, 12, 31), None], kind)

    assert plain(to_seconds(column, "s", None)) == ([1_577_923_200, -86_400, None], {})


@pytest.mark.parametrize("unit", UNITS)
def test_numbers_are_counted_in_their_unit(unit: str) -> None:
    number = SECONDS * UNITS[unit]
    columns = [
        pa.array([number, None]),
        pa.array([number, None], pa.uint64()),
        pa.array([float(number), None]),
        pa.array([str(number), ""]),
        pa.array([f" +{number}.0", " "]),
        pa.array([[number], []]),
        pa.array([Decimal(number), None]),
    ]

    for column in columns:
        assert plain(to_seconds(column, unit, None)) == ([SECONDS, None], {})


def test_fractions_are_cut_towards_the_past() -> None:
    assert plain(to_seconds(pa.array([1_500, -1]), "ms", None)) == ([1, -1], {})
    assert plain(to_seconds(pa.array([1.9, -0.1]), "s", None)) == ([1, -1], {})
    before = datetime(1969, 12, 31, 23, 59, 59, 500_000)
    assert plain(to_seconds(pa.array([before]), "s", None)) == ([-1], {})


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("other", UNITS)
def test_time_of_another_unit_is_a_fault_from_1973_on(unit: str, other: str) -> None:
    first, last = datetime(1973, 3, 4, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)
    column = pa.array([int(moment.timestamp()) * UNITS[other] for moment in (first, last)])

    faults = plain(to_seconds(column, unit, None))[1]

    assert faults == ({} if unit == other else {f"looks like {other}, not {unit}": [0, 1]})


@pytest.mark.parametrize("unit", UNITS)
def test_small_numbers_may_be_of_any_unit(unit: str) -> None:
    column = pa.array([0, 99_999_999, -99_999_999])

    assert plain(to_seconds(column, unit, None)) == (
        [number // UNITS[unit] for number in column.to_pylist()],
        {},
    )


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2020-01-02", datetime(2020, 1, 2, tzinfo=UTC)),
        ("2020-01-02 03:04", datetime(2020, 1, 2, 3, 4, tzinfo=UTC)),
        ("2020-01-02 03:04:05", MOMENT),
        ("2020-01-02T03:04:05.6", MOMENT),
        ("2020-01-02T03:04:05.600000000", MOMENT),
        ("2020-01-02T03:04:05Z", MOMENT),
        ("2020-01-02T03:04:05+01:00", MOMENT - timedelta(hours=1)),
        ("2020-01-02 03:04:05.25 -0230", MOMENT + timedelta(hours=2, minutes=30)),
        ("1900-02-28", datetime(1900, 2, 28, tzinfo=UTC)),
    ],
)
def test_iso_text_is_read_alone_and_among_others(text: str, moment: datetime) -> None:
    expected = int(moment.timestamp() // 1)

    assert plain(to_seconds(pa.array([text, None]), "s", None)) == ([expected, None], {})
    mixed = pa.array([text.encode(), b"5", b"2020-02-30", b"\xff", None, b"2020-01-02T03:04:05Z"])
    assert plain(to_seconds(mixed, "s", None)) == (
        [expected, 5, None, None, None, SECONDS],
        {"invalid UTF-8": [3], NO_TIME: [2]},
    )


def test_what_is_no_time_is_a_fault() -> None:
    text = pa.array(["x", "2020-13-01", "2020-01-02 25:00:00", "", "12:30", "1e30", "nan"])

    assert plain(to_seconds(text, "s", None)) == ([None] * 7, {NO_TIME: [0, 1, 2, 4, 5, 6]})
    numbers = pa.array([float("nan"), float("inf"), None, 1e30])
    assert plain(to_seconds(numbers, "s", None)) == (
        [None] * 4,
        {"not finite": [0, 1], NO_TIME: [3]},
    )
    assert plain(to_seconds(pa.array([{"a": 1}, None]), "s", None)) == ([None] * 2, {NO_TIME: [0]})


def test_text_is_read_by_a_format() -> None:
    text = pa.array(["31/12/2020", "30/02/2020", "1/2/2020", None, "2020-01-01"])

    assert plain(to_seconds(text, "s", "%d/%m/%Y")) == (
        [1_609_372_800, None, 1_580_515_200, None, None],
        {NO_TIME: [1, 4]},
    )


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("02.01.2020 03:04:05.600", "%d.%m.%Y %H:%M:%S.%f"),
        ("02/Jan/2020:04:04:05 +0100", "%d/%b/%Y:%H:%M:%S %z"),
        ("01/02/20 03:04:05 AM", "%m/%d/%y %I:%M:%S %p"),
    ],
)
def test_formats_may_have_fractions_and_zones(text: str, form: str) -> None:
    assert plain(to_seconds(pa.array([text]), "s", form)) == ([SECONDS], {})


def test_dates_as_numbers_are_read_by_a_format() -> None:
    column = pa.array([20200102, None])

    assert plain(to_seconds(column, "s", "%Y%m%d")) == ([1_577_923_200, None], {})


@pytest.fixture
def log(tmp_path: Path) -> Callable[..., str]:
    """Writes a log whose times are given and returns its path."""

    def write(name: str, *times: object) -> str:
        file = tmp_path / name
        file.write_text("\n".join(["at", *map(str, times)]) + "\n")
        return str(file)

    return write


def test_files_of_two_units_are_refused_with_both(log: Callable[..., str]) -> None:
    seconds, milliseconds = log("a.csv", 1_600_000_000), log("b.csv", 1_600_000_000_000)

    with pytest.raises(UserError) as caught:
        check_units("data.events", [seconds, milliseconds], "at", "s", None)

    message = str(caught.value)
    assert message.startswith("data.events.at: ")
    assert f"1600000000 in {seconds} like s but 1600000000000 in {milliseconds} like ms" in message


def test_files_of_another_unit_are_refused(log: Callable[..., str]) -> None:
    file = log("a.csv", "", 1_600_000_000_000)

    with pytest.raises(UserError, match=r"^data\.events\.unit: s, but 1600.* is like ms; give ms$"):
        check_units("data.events", [file], "at", "s", None)


def test_times_of_the_right_unit_or_of_none_are_accepted(log: Callable[..., str]) -> None:
    files = [
        log("a.csv", 1_600_000_000_000), log("b.csv", "2020-01-02"), log("c.csv", 5), log("d.csv")
    ]  # fmt: skip

    check_units("data.events", files, "at", "ms", None)
    check_units("data.events", [log("e.csv", 20200102)], "at", "ms", "%Y%m%d")
