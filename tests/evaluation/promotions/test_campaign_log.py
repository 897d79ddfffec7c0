from collections.abc import Callable
from datetime import datetime, timezone

import numpy as np
import pytest

from tfrec.errors import UserError
from tfrec.evaluation.promotions.campaign_log import read_campaigns
from tfrec.evaluation.promotions.config import UpliftConfig

Config = Callable[..., UpliftConfig]
HEADER = "campaign,start,end,kind\n"


def seconds(*day: int) -> int:
    return int(datetime(*day, tzinfo=timezone.utc).timestamp())


def test_campaigns_are_in_order_with_their_last_day_shoppers_and_items(config_of: Config) -> None:
    log = read_campaigns(config_of())

    first, second = log.campaigns
    assert (first.name, second.name) == ("a", "b")
    assert (first.start, first.end) == (seconds(2020, 2, 1), seconds(2020, 2, 6))
    assert {log.users[user] for user in np.flatnonzero(first.sent)} == {"ann", "bob"}
    assert {log.users[user] for user in np.flatnonzero(second.sent)} == {"ann"}
    assert (first.kind, second.kind) == (0, 1)
    assert first.items.sum() == 1
    assert second.items.sum() == 2


def test_purchases_are_in_order_of_time(config_of: Config) -> None:
    log = read_campaigns(config_of())

    assert (np.diff(log.bought_at) >= 0).all()
    assert [log.users[user] for user in log.bought_by] == ["ann", "ann", "bob", "cyd"]
    np.testing.assert_array_equal(log.paid, [2, 4, 5, 7])
    assert log.taken_off is not None
    np.testing.assert_array_equal(log.taken_off, [0.5, 1, 0, 0])


def test_what_has_no_purchase_is_left_out_and_counted(config_of: Config) -> None:
    log = read_campaigns(config_of())

    assert log.left_out == {
        "sent: user that no purchase is of": 1,
        "coupons: item that no purchase is of": 1,
        "redemptions: user that no purchase is of": 1,
    }
    assert [log.users[user] for user in log.redeemed_by] == ["ann"]
    np.testing.assert_array_equal(log.redeemed, [0])


def test_profiles_are_numbers_and_unknown_where_there_is_none(config_of: Config) -> None:
    log = read_campaigns(config_of())

    by_user = dict(zip(log.users, log.profiles.tolist(), strict=True))
    assert by_user["ann"] == [0, 1]
    assert by_user["bob"][0] == 1
    assert np.isnan(by_user["bob"][1])
    assert np.isnan(by_user["cyd"]).all()


def test_profiles_discounts_and_kinds_need_not_be_there(config_of: Config) -> None:
    config = config_of()
    purchases = config.purchases.model_dump() | {"discount": None}
    campaigns = config.campaigns.model_dump() | {"kind": None}
    changes = {"profiles": None, "purchases": purchases, "campaigns": campaigns}

    log = read_campaigns(config_of(changes))

    assert log.profiles.shape == (3, 0)
    assert log.taken_off is None
    assert {campaign.kind for campaign in log.campaigns} == {0}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"sent": "campaign,user\nc,ann\n"}, "sent.campaign: 'c' is no campaign"),
        ({"coupons": "campaign,item\nc,milk\n"}, "coupons.campaign: 'c' is no campaign"),
        (
            {"redemptions": "campaign,user,time\nc,ann,2020-02-03\n"},
            "redemptions.campaign: 'c' is no campaign",
        ),
        (
            {"campaigns": f"{HEADER}a,2020-02-01,2020-02-05,x\na,2020-03-01,2020-03-05,x\n"},
            "campaigns.campaign: 'a' has 2 rows",
        ),
        (
            {"campaigns": f"{HEADER}a,2020-02-07,2020-02-05,x\n"},
            "campaigns.end: 'a' ends before it starts",
        ),
        ({"purchases": "user,item,time\nann,milk,2020-01-01\n"}, "purchases.revenue: no column"),
        (
            {"purchases": "user,item,time,paid,off\nann,milk,2020-01-01,much,\n"},
            "purchases: 1 of 1 rows rejected: 1 revenue: not a number",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused(
    files: dict[str, str], message: str, config_of: Config
) -> None:
    with pytest.raises(UserError, match=message):
        read_campaigns(config_of(**files))
