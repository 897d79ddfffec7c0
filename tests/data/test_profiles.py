import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from tfrec.data.events import USER
from tfrec.data.profiles import Profiles, calendar_features
from tfrec.data.queries import LAST_TIME

NOON = datetime(2024, 2, 29, 12)
LAST = int(NOON.replace(tzinfo=timezone.utc).timestamp())


@pytest.fixture
def profiles(tmp_path: Path) -> Profiles:
    """Profiles of four shoppers in two files."""
    for part in (0, 2):
        shoppers = [f"user-{part}", f"user-{part + 1}"]
        table = {
            USER: shoppers,
            "shopper": shoppers,
            "recent": [["a", "b"], []],
            "age": [31.5, None],
            "events_before": [2.0, 1.0],
            "days_since_last_visit": [0.1, 0.1],
            LAST_TIME: pa.array([LAST, LAST - 7], pa.int64()),
        }
        pa.parquet.write_table(pa.table(table), tmp_path / f"{part}.parquet")
    return Profiles(tmp_path)


@pytest.fixture
def tokyo() -> Iterator[None]:
    """Makes Tokyo's the machine's time zone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


def test_profile_holds_the_raw_features_of_its_shopper_only(profiles: Profiles) -> None:
    assert profiles.find("user-2", NOON) == {
        "shopper": "user-2",
        "recent": ["a", "b"],
        "age": 31.5,
        "events_before": 2.0,
        "days_since_last_visit": 0.0,
    }
    assert profiles.find("user-3", NOON)["age"] is None


@pytest.mark.parametrize("user", ["user-4", "", "user-0' or 'a'='a"])
def test_shopper_never_seen_has_done_nothing_and_has_no_last_visit(
    profiles: Profiles, user: str
) -> None:
    assert profiles.find(user) == {"visits_before": 0.0, "events_before": 0.0}


@pytest.mark.parametrize(
    ("moment", "days"),
    [
        (NOON + timedelta(days=2, hours=6), 2.25),
        (datetime(2024, 2, 29, 14, tzinfo=timezone(timedelta(hours=-1))), 3 / 24),
        (NOON - timedelta(days=2), 0),
    ],
)
def test_days_since_the_last_visit_are_those_at_the_moment(
    profiles: Profiles, moment: datetime, days: float
) -> None:
    assert profiles.find("user-0", moment)["days_since_last_visit"] == pytest.approx(days)


def test_profile_has_no_other_feature_than_those_prepared(tmp_path: Path) -> None:
    table = {USER: ["ann"], "shopper": ["ann"], LAST_TIME: [LAST]}
    pa.parquet.write_table(pa.table(table), tmp_path / "0.parquet")

    assert Profiles(tmp_path).find("ann", NOON) == {"shopper": "ann"}


def test_moment_is_now_by_default(profiles: Profiles) -> None:
    before = datetime.now(timezone.utc).timestamp()
    days = profiles.find("user-0")["days_since_last_visit"]
    after = datetime.now(timezone.utc).timestamp()

    assert before <= LAST + days * 86_400 <= after + 0.001


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        (None, {"weekday": "Thursday", "hour": "07"}),
        (timezone.utc, {"weekday": "Thursday", "hour": "07"}),
        (timezone(timedelta(hours=9)), {"weekday": "Wednesday", "hour": "22"}),
    ],
)
@pytest.mark.usefixtures("tokyo")
def test_calendar_is_written_in_utc_wherever_the_machine_stands(
    zone: timezone | None, expected: dict[str, str]
) -> None:
    assert calendar_features(datetime(2024, 2, 29, 7, 5, tzinfo=zone)) == expected


@pytest.mark.usefixtures("tokyo")
def test_calendar_of_now_is_that_of_utc() -> None:
    before = datetime.now(timezone.utc)
    hour = calendar_features()["hour"]
    after = datetime.now(timezone.utc)

    assert hour in {f"{before:%H}", f"{after:%H}"}
