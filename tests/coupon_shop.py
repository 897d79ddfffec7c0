"""A shop whose campaigns change what half of its shoppers buy, and which does not know that."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import yaml

DAY = 86_400
FIRST_CAMPAIGN, DAYS, APART = 35, 14, 14
"""When the first campaign begins, how long each is, and how many days lie between two starts."""
EXTRA = 6.0
"""Pieces, at 1 dollar, that a campaign adds in two weeks for shoppers of segment `yes`."""


@dataclass(frozen=True)
class CouponShop:
    """Where the shop's config is, and who is of segment `yes`."""

    path: Path
    content: dict[str, Any]
    responsive: set[str]

    def changed(self, **changes: Any) -> dict[str, Any]:
        return {**self.content, **changes}


def make_coupon_shop(folder: Path, users: int = 300, campaigns: int = 8) -> CouponShop:
    """Writes a shop's files and the config that says where they are.

    Shoppers who buy much get campaigns more often. A shopper of segment `yes` buys more while they
    have a campaign; who redeems depends only on how much they buy.
    """
    random = np.random.default_rng(0)
    activity = random.uniform(0, 1, users)
    responsive = random.random(users) < 0.5
    starts = FIRST_CAMPAIGN + APART * np.arange(campaigns)
    sent = random.random((campaigns, users)) < 0.15 + 0.7 * activity
    redeemed = sent & (random.random(sent.shape) < 0.4 * activity)
    days = int(starts[-1]) + DAYS
    pieces = random.poisson(0.1 + 0.4 * activity, (days, users))
    day, user = np.nonzero(pieces)
    extra_of, extra_user = np.nonzero(random.poisson(EXTRA, sent.shape) * (sent & responsive))
    extra_day = starts[extra_of] + random.integers(0, DAYS, len(extra_of))
    names = np.array([f"u{number:03d}" for number in range(users)])
    tables = {
        "purchases": {
            "user": names[np.r_[user, extra_user]],
            # Item 0 is for every campaign, 1 and 2 for none.
            "item": np.r_[random.integers(0, 3, len(user)), np.zeros(len(extra_user), int)],
            "time": np.r_[day, extra_day] * DAY + 3_600,
            "paid": np.r_[pieces[day, user], np.full(len(extra_user), EXTRA)].astype(float),
        },
        "campaigns": {
            "campaign": _names(np.arange(campaigns)),
            "start": starts * DAY,
            "end": (starts + DAYS - 1) * DAY,
        },
        "sent": _pairs(sent, names),
        "coupons": {"campaign": _names(np.arange(campaigns)), "item": [0] * campaigns},
        "redemptions": {
            **_pairs(redeemed, names),
            "time": (starts[redeemed.nonzero()[0]] + 1) * DAY,
        },
        "profiles": {"user": names, "segment": np.where(responsive, "yes", "no")},
    }
    for name, columns in tables.items():
        pyarrow.parquet.write_table(pa.table(columns), folder / f"{name}.parquet")
    content = _config(folder, int(starts[campaigns // 2]))
    path = folder / "coupons.yaml"
    path.write_text(yaml.safe_dump(content))
    return CouponShop(path, content, set(names[responsive].tolist()))


def _pairs(chosen: np.ndarray, names: np.ndarray) -> dict[str, Any]:
    campaigns, users = np.nonzero(chosen)
    return {"campaign": _names(campaigns), "user": names[users]}


def _names(campaigns: np.ndarray) -> list[str]:
    return [f"c{number}" for number in campaigns]


def _config(folder: Path, held_out: int) -> dict[str, Any]:
    def source(name: str, **columns: str) -> dict[str, str]:
        return {"source": str(folder / f"{name}.parquet"), **columns}

    return {
        "name": "coupons",
        "runs": str(folder / "runs"),
        "campaigns": source("campaigns", campaign="campaign", start="start", end="end"),
        "sent": source("sent", campaign="campaign", user="user"),
        "coupons": source("coupons", campaign="campaign", item="item"),
        "redemptions": source("redemptions", campaign="campaign", user="user", time="time"),
        "purchases": source("purchases", user="user", item="item", time="time", revenue="paid"),
        "profiles": source("profiles", user="user") | {"columns": ["segment"]},
        "held_out": str(np.datetime64("1970-01-01") + held_out),
        "history": "4w",
        "folds": 2,
        "resamples": 100,
        "trees": {"trees": 40, "leaf_rows": 20},
        "allocation": {"budget": 100, "each": 1},
    }
