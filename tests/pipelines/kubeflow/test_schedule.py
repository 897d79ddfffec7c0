"""Cron lines for Kubeflow Pipelines."""

import pytest

from tfrec.errors import UserError
from tfrec.pipelines.kubeflow.schedule import to_kubeflow


@pytest.mark.parametrize(
    ("line", "translated"),
    [
        ("0 3 * * *", "0 0 3 * * *"),
        ("*/15 8-18 * * mon-fri", "0 */15 8-18 * * mon-fri"),
        ("0 0 1,15 JAN,jul ?", "0 0 0 1,15 JAN,jul ?"),
        ("30 0 3 * * *", "30 0 3 * * *"),
        ("  0  3 * *  * ", "0 0 3 * * *"),
        ("0 3 * * 7", "0 0 3 * * 0"),
        ("0 3 * * 5-7", "0 0 3 * * 0,5,6"),
        ("0 3 29 2 *", "0 0 3 29 2 *"),
        ("0 3 31 2 mon", "0 0 3 31 2 mon"),
    ],
)
def test_five_fields_become_six(line: str, translated: str) -> None:
    assert to_kubeflow(line) == translated


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 3 * *", "has 4 fields, not 5"),
        ("@daily", "has 1 fields, not 5"),
        ("60 3 * * *", "minute '60': must be 0 to 59"),
        ("0 24 * * *", "hour '24': must be 0 to 23"),
        ("0 3 0 * *", "day of month '0': must be 1 to 31"),
        ("0 3 * 13 *", "month '13': must be 1 to 12 or jan to dec"),
        ("0 3 * * 8", "day of week '8': must be 0 to 7 or sun to sat"),
        ("0 3 * * monday", "day of week 'monday': must be"),
        ("99 0 3 * * *", "second '99': must be 0 to 59"),
        ("0 22-2 * * *", "hour '22-2': its range goes backwards"),
        ("*/0 3 * * *", "minute '*/0': a step of 0"),
        ("0 3;4 * * *", "hour '3;4': give numbers"),
        ("0 3, * * *", "hour '': give numbers"),
        ("*-5 3 * * *", "minute '*-5': give numbers"),
        ("0 3 30 2 *", "day of month '30' never comes in month '2'"),
        ("0 3 31 4,6,9,11 ?", "day of month '31' never comes"),
    ],
)
def test_a_wrong_field_is_named(line: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        to_kubeflow(line)
    assert str(caught.value).startswith(f"schedule {line!r}: ")
    assert message in str(caught.value)
