from datetime import datetime

import pytest

from tfrec.data.prepared import PreparedData
from tfrec.data.profiles import Profiles, calendar_features


def test_profile_of_a_shopper_is_the_state_after_the_last_event(
    prepared: PreparedData, log: list
) -> None:
    profiles = Profiles(prepared.profiles)

    for user in ("user-0", "user-39"):
        bought = [event.sku for event in log if event.user == user]
        assert profiles.find(user) == {"shopper": user, "recent": bought[-5:]}


@pytest.mark.parametrize("user", ["user-40", "", "user-0' or 'a'='a"])
def test_shopper_never_seen_has_no_profile(prepared: PreparedData, user: str) -> None:
    assert Profiles(prepared.profiles).find(user) == {}


def test_calendar_writes_a_moment_as_preparation_does() -> None:
    assert calendar_features(datetime(2024, 2, 29, 7, 5)) == {"weekday": "Thursday", "hour": "07"}
